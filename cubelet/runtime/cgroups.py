"""The control group of one container, in every mounted hierarchy of either version.

Only what the kernel's files say and take: it works where the runtime that made the group is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MOUNTED_AT: Final = Path("/sys/fs/cgroup")
_PAUSE_S: Final = 0.02
#: What is written where to let a frozen group go: version 1, version 2.
_THAW: Final = (("freezer.state", "THAWED"), ("cgroup.freeze", "0"))
#: Where the kernel tells of a freeze, and what its lines mean: version 1, version 2.
_SAYS: Final = {
    "freezer.state": {"FROZEN": True, "THAWED": False},
    "cgroup.events": {"frozen 1": True, "frozen 0": False},
}


def cgroup_version(mounted_at: Path = MOUNTED_AT) -> int:
    """2 where the unified hierarchy is the only one, else 1."""
    return 2 if (mounted_at / "cgroup.controllers").exists() else 1


@dataclass(frozen=True, slots=True)
class Cgroup:
    """A group by the path that an OCI configuration names, such as /cubelet/0a1b2c3d/ID."""

    path: str
    mounted_at: Path = MOUNTED_AT

    def pids(self) -> set[int]:
        """All processes in it and in groups below it."""
        found: set[int] = set()
        for folder in self._folders():
            with contextlib.suppress(OSError):
                found.update(int(word) for word in (folder / "cgroup.procs").read_text().split())
        return found

    def count(self) -> int:
        """How many processes are in it, by the first hierarchy that has any; quicker than all."""
        for top in self._tops():
            with contextlib.suppress(OSError):
                if words := (top / "cgroup.procs").read_text().split():
                    return len(words)
        return 0

    @property
    def exists(self) -> bool:
        """Whether any hierarchy has it."""
        return any(self._folders())

    @property
    def frozen(self) -> bool | None:
        """Whether the kernel says that it stands still; None where it does not say, or just now.

        With both versions mounted it is the freezer of version 1 that counts, as runc uses that.
        """
        for name, words in _SAYS.items():
            for folder in self._tops():
                with contextlib.suppress(OSError):
                    said = set((folder / name).read_text().splitlines())
                    return next((frozen for word, frozen in words.items() if word in said), None)
        return None

    async def kill(self, timeout_s: float) -> bool:
        """SIGKILL all that is in it, thaw it so that they die; False where some still live."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.pids():
                    self._kill_once()
                    self._thaw()
                    await asyncio.sleep(_PAUSE_S)
        except TimeoutError:
            return False
        return True

    async def remove(self, timeout_s: float) -> bool:
        """Remove the empty group; the kernel may call it busy for a moment after its last end."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self._remove_once():  # noqa: ASYNC110 - the kernel tells nobody.
                    await asyncio.sleep(_PAUSE_S)
        except TimeoutError:
            return False
        return True

    def drop(self) -> None:
        """Remove the group itself wherever nothing is in it, nor any group below it."""
        for top in self._tops():
            with contextlib.suppress(OSError):
                top.rmdir()

    def below(self) -> set[str]:
        """The names of the groups in this one, in any hierarchy."""
        found: set[str] = set()
        for top in self._tops():
            with contextlib.suppress(FileNotFoundError), os.scandir(top) as entries:
                found.update(entry.name for entry in entries if entry.is_dir())
        return found

    def _kill_once(self) -> None:
        """Processes are held by descriptors, and only those still in the group then are killed."""
        with contextlib.ExitStack() as stack:
            held: dict[int, int] = {}
            for pid in self.pids():
                with contextlib.suppress(OSError):
                    held[pid] = os.pidfd_open(pid)
                    stack.callback(os.close, held[pid])
            for pid in self.pids() & held.keys():
                with contextlib.suppress(OSError):
                    signal.pidfd_send_signal(held[pid], signal.SIGKILL)

    def _thaw(self) -> None:
        for folder in self._folders():
            for name, word in _THAW:
                if (folder / name).exists():
                    with contextlib.suppress(OSError):
                        (folder / name).write_text(word)

    def _remove_once(self) -> bool:
        for folder in self._folders():
            with contextlib.suppress(OSError):
                folder.rmdir()
        return not self.exists

    def _folders(self) -> Iterator[Path]:
        """Every folder of the group, the deepest first."""
        for top in self._tops():
            for folder, _, _ in os.walk(top, topdown=False):
                yield Path(folder)

    def _tops(self) -> Iterator[Path]:
        """The group's own folder in each hierarchy, there or not."""
        trees = [self.mounted_at, *(p for p in self.mounted_at.iterdir() if p.is_dir())]
        if cgroup_version(self.mounted_at) > 1:
            trees = [self.mounted_at]
        for tree in trees:
            yield tree / self.path.lstrip("/")
