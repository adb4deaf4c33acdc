"""One look over the host: what lies under our roots, by sandbox.

Everything else is left alone, as it is a stranger's: other agents have another state directory, and
with it other folders, another control group, and shims that were told another address.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cubelet.core.ids import DEFAULT_NAMESPACE, is_id
from cubelet.core.model import Handle
from cubelet.runtime.cgroups import Cgroup
from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.launch import containerd_address
from cubelet.runtime.mounts import mounts_below
from cubelet.runtime.note import Note, handle_at, read_note
from cubelet.runtime.places import Place, cgroups_of, place_of, sandboxes_in
from cubelet.runtime.processes import Member, ShimProcess, find_processes
from shimclient.skeleton.errors import SetupError
from shimclient.skeleton.sockets import socket_dir, socket_name

#: The Task service's version that every shim of ours speaks.
_VERSION: Final = 2
_MOUNTS_TOLD_MAX: Final = 10


@dataclass(slots=True)
class Sighting:
    """What was seen of one sandbox."""

    sandbox_id: str
    place: Place
    bundle: bool = False
    note: Note | None = None
    shims: list[ShimProcess] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)
    mounts: list[str] = field(default_factory=list)
    group: Cgroup | None = None
    #: What the low-level runtime keeps of it, a folder for each namespace.
    states: list[Path] = field(default_factory=list)
    sockets: list[Path] = field(default_factory=list)
    #: Whether it has what only a container has.
    container: bool = False
    #: Each thing, for people.
    lines: tuple[str, ...] = ()

    @property
    def namespaces(self) -> list[str]:
        """Those that it may be in, the likeliest first."""
        told = self.note.record.namespace if self.note and self.note.record else ""
        named = [told, *(shim.namespace for shim in self.shims)]
        named += [folder.parent.name for folder in self.states]
        return [name for name in dict.fromkeys([*named, DEFAULT_NAMESPACE]) if name]

    @property
    def handle(self) -> Handle | None:
        """Where a shim of it may be asked; its processes are known from this look, not from it."""
        if not self.sockets:
            return None
        noted = self.note.handle if self.note else None
        return handle_at(f"unix://{self.sockets[0]}", noted.version if noted else _VERSION)

    def finish(self, address: str) -> None:
        """Read what follows from the rest; `address` is what our shims are told of their agent."""
        self.note = read_note(self.place) if self.bundle else None
        self.sockets = _sockets_of(self, address)
        found = (self.group, self.states, self.mounts, self.place.upper.exists())
        self.container = any(found)
        self.lines = tuple(self._told())

    def _told(self) -> list[str]:
        """What lives comes first."""
        lines = [
            f"living shim, process {shim.identity.pid} ({Path(shim.command[0]).name})"
            for shim in self.shims
        ]
        lines += [f"living process {one.identity.pid} ({one.name})" for one in self.members]
        if self.group is not None:
            count = len(self.group.pids())
            inside = f"with {count} living processes" if count else "without processes"
            lines.append(f"control group {self.group.path} {inside}")
        lines += [f"mount {point}" for point in self.mounts[:_MOUNTS_TOLD_MAX]]
        if (more := len(self.mounts) - _MOUNTS_TOLD_MAX) > 0:
            lines.append(f"{more} more mounts")
        lines += [f"runc state {folder}" for folder in self.states]
        lines += [f"socket {path}" for path in self.sockets]
        return [*lines, f"bundle {self.place.bundle}"] if self.bundle else lines


def survey(config: RuntimeConfig) -> dict[str, Sighting]:
    """Everything under our roots, whoever owns it; blocks for disk and /proc."""
    seen = _Seen(config, {})
    sandboxes = sandboxes_in(config.state_dir)
    for name in _folders_in(sandboxes):
        seen.of(name).bundle = True
    shims, members = find_processes(sandboxes, containerd_address(config))
    for shim in shims:
        seen.of(shim.sandbox_id).shims.append(shim)
    for member in members:
        seen.of(member.sandbox_id).members.append(member)
    for point in mounts_below(sandboxes):
        name = point.removeprefix(f"{sandboxes}/").partition("/")[0]
        if point != str(sandboxes) and is_id(name):
            seen.of(name).mounts.append(point)
    groups = cgroups_of(config.state_dir)
    for name in filter(is_id, Cgroup(groups).below()):
        seen.of(name).group = Cgroup(f"{groups}/{name}")
    for namespace in _folders_in(config.runc_root):
        for name in _folders_in(config.runc_root / namespace):
            seen.of(name).states.append(config.runc_root / namespace / name)
    for one in seen.sightings.values():
        one.finish(containerd_address(config))
    return dict(sorted(seen.sightings.items()))


@dataclass(frozen=True, slots=True)
class _Seen:
    config: RuntimeConfig
    sightings: dict[str, Sighting]

    def of(self, name: str) -> Sighting:
        """What was seen of this sandbox so far."""
        if name not in self.sightings:
            place = place_of(self.config.state_dir, name)
            self.sightings[name] = Sighting(name, place)
        return self.sightings[name]


def _folders_in(folder: Path) -> list[str]:
    """The names of the folders in there that are ids; what else lies there is not ours."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        return [
            entry.name
            for entry in entries
            if is_id(entry.name) and entry.is_dir(follow_symlinks=False)
        ]
    return []


def _sockets_of(one: Sighting, address: str) -> list[Path]:
    """The sockets of its shim that are there: by the name that containerd's convention gives them.

    What its own files say of a socket is not followed: a file that was copied or damaged must not
    lead us to a stranger's.
    """
    with suppress(SetupError, OSError):
        folder = socket_dir("", os.environ)
        names = [socket_name(address, name, one.sandbox_id) for name in one.namespaces]
        return [folder / name for name in names if (folder / name).is_socket()]
    return []
