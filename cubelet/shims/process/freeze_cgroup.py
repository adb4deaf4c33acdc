"""Standing still by the kernel's cgroup freezer, version 1 or 2: all at once, forks included."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cubelet.shims.process.cgroups import pids_of, remove_group
from cubelet.shims.process.errors import FreezeFailed
from cubelet.shims.process.tree import Walk, walk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FREEZE_S_MAX: Final = 10.0
_DELAY_S_FIRST: Final = 0.0001
_DELAY_S_MAX: Final = 0.02
_NAMED_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class Dialect:
    """The files and words of one version (kernel docs: freezer-subsystem.rst, cgroup-v2.rst)."""

    name: str
    control: str
    freeze: str
    thaw: str
    witness: str
    frozen: str
    thawed: str


V1: Final = Dialect(
    name="cgroup_v1",
    control="freezer.state",
    freeze="FROZEN",
    thaw="THAWED",
    witness="freezer.state",
    frozen="FROZEN",
    thawed="THAWED",
)
V2: Final = Dialect(
    name="cgroup_v2",
    control="cgroup.freeze",
    freeze="1",
    thaw="0",
    witness="cgroup.events",
    frozen="frozen 1",
    thawed="frozen 0",
)


class CgroupFreezer:
    """Freezes one group, and makes sure that the whole tree below `root` is in it."""

    def __init__(
        self, path: Path, dialect: Dialect, *, root: int, look: Callable[[int], Walk] = walk
    ) -> None:
        self.path = path
        self.name = dialect.name
        self._dialect = dialect
        self._root = root
        self._look = look

    @property
    def groups(self) -> tuple[Path, ...]:
        """Its one group."""
        return (self.path,)

    async def freeze(self, *, within_s: float = FREEZE_S_MAX) -> None:
        """Return when the kernel shows the group frozen and no process of the tree is outside it.

        Raises FreezeFailed, with all let go again, where a process cannot be frozen within the time
        or has left the group.
        """
        try:
            await self._freeze(within_s)
        except BaseException:
            await self.thaw()
            raise

    async def _freeze(self, within_s: float) -> None:
        if not await self._set(self._dialect.freeze, self._dialect.frozen, within_s):
            raise FreezeFailed(self._complaint(within_s))
        members = pids_of(self.path)
        for process in self._look(self._root).living:
            if (pid := process.identity.pid) not in members:
                raise FreezeFailed(f"process {pid} was not stopped: it has left cgroup {self.path}")

    async def thaw(self) -> None:
        """Let the group go on; raises FreezeFailed where it stays frozen."""
        if self.path.exists() and not await self._set(
            self._dialect.thaw, self._dialect.thawed, FREEZE_S_MAX
        ):
            raise FreezeFailed(f"cgroup {self.path} stays frozen; is a group above it frozen?")

    async def remove(self) -> None:
        """Remove the group of a dead tree; raises FreezeFailed where it is still in use."""
        if not await remove_group(self.path):
            raise FreezeFailed(f"cgroup {self.path} cannot be removed: it is still in use")

    async def _set(self, word: str, shown: str, within_s: float) -> bool:
        """Write and read until it shows. Version 1 wants the word again while it is FREEZING."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + within_s
        delay_s = _DELAY_S_FIRST
        while True:
            (self.path / self._dialect.control).write_text(word)
            if shown in (self.path / self._dialect.witness).read_text().splitlines():
                return True
            if loop.time() >= give_up_at:
                return False
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, _DELAY_S_MAX)

    def _complaint(self, within_s: float) -> str:
        states = ", ".join(
            f"{process.identity.pid} ({process.threads[:_NAMED_MAX]})"
            for process in self._look(self._root).living[:_NAMED_MAX]
        )
        return f"cgroup {self.path} was not frozen within {within_s:g} s; processes: {states}"
