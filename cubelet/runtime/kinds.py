"""The runtimes there are, as values: everything in which one differs from another."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage

import shimclient
from cubelet.core.model import Record
from cubelet.engine.ports import Capabilities
from cubelet.runtime.bundle import Config, container_config, plain_config
from cubelet.runtime.cgroups import Cgroup, cgroup_version
from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.places import Place, cgroups_of
from shimclient.api import task_pb2
from shimclient.task import runc_options

SHIMV2: Final = "shimv2"
PROCESS: Final = "process"
FAKE: Final = "fake"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One runtime. Frozen, and without any state of its own."""

    name: str
    #: The shim binary and its first arguments.
    command: Sequence[str]
    #: Whether the command is a program of shimclient.skeleton, so that a zygote can fork it.
    forks: bool = False
    capabilities: Capabilities
    #: Options that travel with Create; None for none.
    options: AnyMessage | None = None
    #: Where the low-level runtime keeps its own state, by namespace and id; None: it has none.
    runtime_root: Path | None = None
    #: Whether a sandbox is a container: with a template's root, namespaces and a cgroup of ours.
    container: bool = False
    #: The control group in which containers get theirs.
    cgroups: str = ""
    #: Annotations that begin so are for the shim; it sees no others. "" for none.
    annotation_prefix: str = ""

    def config(self, record: Record, place: Place) -> Config:
        """The content of the bundle's config.json."""
        if not self.container:
            return plain_config(
                record.spec, home=str(place.home), annotation_prefix=self.annotation_prefix
            )
        return container_config(
            record.spec,
            hostname=record.id,
            cgroups_path=self.cgroup(record.id).path,
            cgroup_version=cgroup_version(),
        )

    def cgroup(self, sandbox_id: str) -> Cgroup:
        """The control group that a container of this kind gets."""
        return Cgroup(f"{self.cgroups}/{sandbox_id}")


def shimv2(config: RuntimeConfig) -> Kind:
    """Containerd's shim for runc, or another binary that takes the same options."""
    options = task_pb2.RuncOptions(binary_name=config.runc_binary, root=str(config.runc_root))
    return Kind(
        name=SHIMV2,
        command=(config.shim_binary,),
        capabilities=Capabilities(second_witness=True, heals=True),
        options=runc_options(options),
        runtime_root=config.runc_root,
        container=True,
        cgroups=cgroups_of(config.state_dir),
    )


def process(_: RuntimeConfig) -> Kind:
    """Our own shim around a process tree of this host."""
    return Kind(
        name=PROCESS,
        command=_python("cubelet.shims.process"),
        forks=True,
        capabilities=Capabilities(),
        annotation_prefix="cubelet.process/",
    )


def fake(_: RuntimeConfig) -> Kind:
    """A shim with a simulated VM, for tests and drills. Its resume is an opaque restore."""
    return Kind(
        name=FAKE,
        command=_python("shimclient.fake"),
        forks=True,
        capabilities=Capabilities(opaque_restore=True, snapshots=True),
        annotation_prefix="shimclient.fake/",
    )


#: Runs a module that need not be installed: the folder it is in comes last in its path.
_RUN: Final = (
    "import runpy, sys; sys.path.append(sys.argv.pop(1));"
    " runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def _python(module: str) -> Sequence[str]:
    """The command that runs one of our shims by this very Python, in whatever folder it starts."""
    home = Path(shimclient.__file__).parents[1]
    return (sys.executable, "-P", "-c", _RUN, str(home), module)


#: How each is made, in the order of preference.
KINDS: Final[Mapping[str, Callable[[RuntimeConfig], Kind]]] = {
    SHIMV2: shimv2,
    PROCESS: process,
    FAKE: fake,
}
