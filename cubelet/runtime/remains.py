"""What there is of a sandbox that is to be removed, and what of it is still there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cubelet.core.model import Handle
from cubelet.runtime.answers import init_of
from cubelet.runtime.identity import Identity
from cubelet.runtime.kinds import Kind
from cubelet.runtime.mounts import mounts_below
from cubelet.runtime.places import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """Everything that has to go with it. `handle` None: no shim of it can be asked."""

    sandbox_id: str
    namespace: str
    kind: Kind
    place: Place
    handle: Handle | None
    shims: Sequence[Identity]
    #: Processes of it that were found beside those which the handle names.
    others: Sequence[Identity] = ()
    #: Files and folders outside its own folder.
    outside: Sequence[Path] = ()

    def processes(self) -> list[Identity]:
        """The shim, the first process and the others, in this order, whether they live or not."""
        first = [init_of(self.handle)] if self.handle else []
        return [*self.shims, *first, *self.others]

    def living(self) -> list[str]:
        """Processes of it that still run, for people."""
        found = [f"process {process.pid}" for process in self.processes() if process.alive]
        if self.kind.container and (pids := self.kind.cgroup(self.sandbox_id).pids()):
            found.append(f"processes {sorted(pids)[:10]} in its control group")
        return found

    def left(self) -> list[str]:
        """Everything of it that is still there, for people."""
        left = [*self.living(), *mounts_below(self.place.bundle)]
        if self.kind.container and self.kind.cgroup(self.sandbox_id).exists:
            left.append(f"control group {self.kind.cgroup(self.sandbox_id).path}")
        left += [str(path) for path in (self.place.bundle, *self.outside) if path.exists()]
        return left
