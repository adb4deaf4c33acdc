"""Starts the real shim process, as root or as an ordinary user, and looks at what it runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import google.protobuf
import pytest

from cubelet.shims.process.cgroups import Hierarchy, hierarchies
from cubelet.shims.process.identity import PROC, Identity, identify, read_proc
from cubelet.shims.process.tree import look
from shimclient import Client
from shimclient.api import task_pb2
from shimclient.bootstrap import delete_shim, start_shim
from shimclient.errors import ShimError
from shimclient.logpipe import LogPipe
from shimclient.task import Exit, Task
from tests.support.polling import eventually

ROOT: Final = Path(__file__).parents[3]
NAMESPACE: Final = "test"
CALL_S: Final = 20.0
NOBODY: Final = 65534
AS_NOBODY: Final = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
#: What the shim and the sandboxes' Python programs need to import, whoever runs them.
PYTHONPATH: Final = f"{ROOT}:{Path(google.protobuf.__file__).parents[2]}"

#: Adds a byte to the file argv[1] for as long as it runs: its size is the counter.
COUNT: Final = """
import sys, time
with open(sys.argv[1], "ab", buffering=0) as file:
    while True:
        file.write(b".")
        time.sleep(0.0005)
"""


#: Exec'ing it once proves little: setpriv does that with root's rights still in hand.
_CAN_RUN: Final = """
import os, sys
import google.protobuf, cubelet.shims.process
sys.exit(not os.access(sys.executable, os.X_OK))
"""


@dataclass(frozen=True)
class Kind:
    """Who runs the shim, and which freezer it is told to use."""

    user: str
    freezer: str
    expected: str

    def __str__(self) -> str:
        return f"{self.user}-{self.freezer}"


def python_for(user: str) -> str:
    """A Python that this user can run with our packages; "" where there is none."""
    if user != "nobody":
        return sys.executable
    for python in (sys.executable, "/usr/bin/python3"):
        probe = subprocess.run(
            [*AS_NOBODY, python, "-c", _CAN_RUN],
            env={**os.environ, "PYTHONPATH": PYTHONPATH},
            capture_output=True,
            check=False,
        )
        if probe.returncode == 0:
            return python
    return ""


@dataclass
class Shim:
    """One shim process and its bundle; `scratch` is writable for the sandbox."""

    kind: Kind
    python: str
    bundle: Path
    log: list[str] = field(default_factory=list)
    events_address: str = ""
    id: str = field(default_factory=lambda: f"box{secrets.token_hex(4)}")

    _client: Client | None = None
    _pipe: LogPipe | None = None
    task: Task = field(init=False)

    @property
    def command(self) -> list[str]:
        prefix = AS_NOBODY if self.kind.user == "nobody" else ()
        return [*prefix, self.python, "-m", "cubelet.shims.process"]

    async def begin(self) -> None:
        self._pipe = LogPipe(self.bundle, self.log.append)
        self.own(self.bundle / "log")
        address = await start_shim(
            self.command,
            namespace=NAMESPACE,
            id=self.id,
            bundle=self.bundle,
            events_address=self.events_address,
            containerd_address=str(self.bundle),
            env=self._env(),
            timeout_s=CALL_S,
        )
        self._client = await Client.connect(address.address)
        self.task = Task(self._client, version=address.version)

    async def begin_again(self) -> None:
        """End the shim process and start another, with what was changed since."""
        await self._hang_up()
        await self.begin()

    def configure(
        self,
        args: Sequence[str],
        *,
        annotations: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        process = {"args": list(args), "env": ["PATH=/usr/bin:/bin"], "cwd": "/"}
        config = {
            "ociVersion": "1.0.2",
            "process": {**process, **more.pop("process", {})},
            "annotations": {
                "cubelet.process/freezer": self.kind.freezer,
                **(annotations or {}),
            },
            **more,
        }
        (self.bundle / "config.json").write_text(json.dumps(config))

    async def create(self, args: Sequence[str], **more: Any) -> int:
        """Configure and create; the pid."""
        stdin, stdout, stderr = (str(more.pop(f"std{end}", "")) for end in ("in", "out", "err"))
        self.configure(args, **more)
        request = task_pb2.CreateRequest(
            id=self.id, bundle=str(self.bundle), stdin=stdin, stdout=stdout, stderr=stderr
        )
        return await self.task.create(request, local_timeout_s=CALL_S)

    async def run(self, args: Sequence[str], **more: Any) -> int:
        """Create and start; the pid."""
        pid = await self.create(args, **more)
        assert await self.task.start(self.id, local_timeout_s=CALL_S) == pid
        return pid

    async def run_python(self, program: str, *args: str, **more: Any) -> int:
        return await self.run(["/usr/bin/python3", "-c", program, *args], **more)

    async def count(self) -> Path:
        """Run the counting program; its counter, which has begun to grow."""
        counter = self.bundle / "counter"
        await self.run_python(COUNT, str(counter))
        await grows(counter)
        return counter

    async def pause(self) -> None:
        await self.task.pause(self.id, local_timeout_s=CALL_S)

    async def resume(self) -> None:
        await self.task.resume(self.id, local_timeout_s=CALL_S)

    async def status(self) -> int:
        return (await self.task.state(self.id, local_timeout_s=CALL_S)).status

    async def wait(self) -> Exit:
        return await self.task.wait(self.id, local_timeout_s=CALL_S)

    async def shim_pid(self) -> int:
        return (await self.task.connect(self.id, local_timeout_s=CALL_S)).shim_pid

    async def pids(self) -> list[int]:
        return list(await self.task.pids(self.id, local_timeout_s=CALL_S))

    async def clean_up(self) -> Exit:
        """The out-of-band `delete`."""
        return await delete_shim(
            self.command,
            namespace=NAMESPACE,
            id=self.id,
            bundle=self.bundle,
            containerd_address=str(self.bundle),
            timeout_s=CALL_S,
        )

    async def end(self) -> None:
        """End everything; nothing marked as this sandbox's may be left."""
        try:
            await self.clean_up()
        finally:
            await self._hang_up()

    async def _hang_up(self) -> None:
        """Shut the shim down if it lives, and let go of it."""
        if self._client is not None:
            with contextlib.suppress(ShimError):
                await self.task.shutdown(self.id, local_timeout_s=1.0)
            await self._client.close()
        if self._pipe is not None:
            self._pipe.close()

    def _env(self) -> dict[str, str]:
        return {"PYTHONPATH": PYTHONPATH}

    def own(self, path: Path) -> None:
        """Give a file to the shim's user."""
        if self.kind.user == "nobody":
            os.chown(path, NOBODY, NOBODY)


def kinds() -> tuple[Kind, ...]:
    """All kinds; for an ordinary user only its own."""
    if os.geteuid() != 0:
        return (Kind("self", "signals", "signals"),)
    return (
        Kind("root", "cgroup_v1", "cgroup_v1"),
        Kind("root", "cgroup_v2", "cgroup_v2"),
        Kind("root", "signals", "signals"),
        Kind("nobody", "auto", "signals"),
    )


def extreme_kinds() -> tuple[Kind, ...]:
    """The most and the least powerful one, for what does not depend on the freezer."""
    return (kinds()[0], kinds()[-1])[: len(kinds())]


def usable(kind: Kind) -> Kind:
    """The kind, or a skipped test where this machine cannot have it."""
    mounted = {f"cgroup_v{h.version}" for h in hierarchies() if h.version != 1 or _freezes(h)}
    if kind.freezer.startswith("cgroup") and kind.freezer not in mounted:
        pytest.skip(f"no {kind.freezer} freezer is mounted here")
    return kind


def _freezes(hierarchy: Hierarchy) -> bool:
    return "freezer" in hierarchy.controllers


def proc_text(pid: int, name: str) -> str:
    return (PROC / str(pid) / name).read_text()


def new_bundle(kind: Kind) -> Path:
    """A bundle with a path short enough for sockets, and writable for the shim's user."""
    bundle = Path(tempfile.mkdtemp(prefix="ps-", dir="/tmp"))
    if kind.user == "nobody":
        os.chown(bundle, NOBODY, NOBODY)
    return bundle


def remove_bundle(bundle: Path) -> None:
    """A shim that ends may take its socket away at this very moment."""
    while bundle.exists():
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(bundle)


async def grows(counter: Path) -> None:
    """Return when the counter has grown."""
    size = size_of(counter)
    await eventually(lambda: size_of(counter) > size, what=f"{counter} grows")


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def cpu_ticks(pid: int) -> int:
    """Processor time that all threads of a process have used: it stands still when they do."""
    total = 0
    for thread in (PROC / str(pid) / "task").iterdir():
        line = read_proc(f"{thread}/schedstat") or b"0"
        total += int(line.split()[0])
    return total


async def stands_still(pids: Sequence[int], *files: Path) -> None:
    """Fail where any process uses any time, or any file grows, while we look on for a while."""

    def seen() -> tuple[list[int], list[int]]:
        return [cpu_ticks(pid) for pid in pids], [size_of(file) for file in files]

    before = seen()
    end_s = asyncio.get_running_loop().time() + 0.15
    while asyncio.get_running_loop().time() < end_s:
        assert seen() == before
        await asyncio.sleep(0.01)


def who(pid: int) -> Identity:
    identity = identify(pid)
    assert identity is not None
    return identity


def lives(identity: Identity) -> bool:
    process = look(identity.pid)
    return process is not None and process.identity == identity and not process.dead


def group_of(shim: Shim) -> Path:
    """The cgroup that the shim's kind makes for its sandbox."""
    version = 1 if shim.kind.expected == "cgroup_v1" else 2
    (hierarchy,) = (
        found
        for found in hierarchies()
        if found.version == version and (version != 1 or _freezes(found))
    )
    return hierarchy.group(f"{NAMESPACE}.{shim.id}")


def is_frozen(group: Path) -> bool:
    state = group / "freezer.state"
    if state.exists():
        return state.read_text().strip() != "THAWED"
    return "frozen 1" in (group / "cgroup.events").read_text().splitlines()
