"""What was seen on this host of one sandbox, as values and for people."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cubelet.core.ids import DEFAULT_NAMESPACE
from cubelet.core.model import Handle
from cubelet.runtime.cgroups import Cgroup
from cubelet.runtime.note import Note, handle_at, read_note
from cubelet.runtime.places import Place
from cubelet.runtime.processes import Member, ShimProcess
from shimclient.skeleton.sockets import socket_name

#: The Task service's version that every shim of ours speaks.
_VERSION: Final = 2
_MOUNTS_TOLD_MAX: Final = 10


@dataclass(slots=True)
class Sighting:
    """One sandbox. What a look at all of them does not show is added by `finish`."""

    sandbox_id: str
    place: Place
    bundle: bool = False
    shims: list[ShimProcess] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)
    mounts: list[str] = field(default_factory=list)
    group: Cgroup | None = None
    #: What the low-level runtime keeps of it, a folder for each namespace.
    states: list[Path] = field(default_factory=list)
    note: Note | None = None
    sockets: list[Path] = field(default_factory=list)
    finished: bool = False
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

    def finish(self, address: str, sockets: Path, there: Container[str]) -> None:
        """Read its note, and find its sockets: by the names of the folder `sockets`.

        They are found by the name that containerd's convention gives them (`address` is what our
        shims are told of their agent), not by what its own files say: a file that was copied or
        damaged must not lead us to a stranger's.
        """
        self.note = read_note(self.place) if self.bundle else None
        names = [socket_name(address, name, self.sandbox_id) for name in self.namespaces]
        self.sockets = [sockets / name for name in names if name in there]
        seen = self.group or self.states or self.mounts
        self.container = bool(seen) or os.path.exists(self.place.upper)  # noqa: PTH110 - many, fast
        self.lines = tuple(self._told())
        self.finished = True

    def _told(self) -> Iterator[str]:
        """What lives comes first."""
        for shim in self.shims:
            yield f"living shim, process {shim.identity.pid} ({Path(shim.command[0]).name})"
        for one in self.members:
            yield f"living process {one.identity.pid} ({one.name})"
        if self.group is not None:
            count = self.group.count()
            inside = f"with {count} living processes" if count else "without processes"
            yield f"control group {self.group.path} {inside}"
        yield from (f"mount {point}" for point in self.mounts[:_MOUNTS_TOLD_MAX])
        if (more := len(self.mounts) - _MOUNTS_TOLD_MAX) > 0:
            yield f"{more} more mounts"
        yield from (f"runc state {folder}" for folder in self.states)
        yield from (f"socket {path}" for path in self.sockets)
        if self.bundle:
            yield f"bundle {self.place.bundle}"
