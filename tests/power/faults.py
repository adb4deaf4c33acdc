"""A disk that fails: one call of the operating system, or that and all after it."""

from __future__ import annotations

from pathlib import Path

from tests.power.watch import Kind, Trouble, Watch

_NAMES = {Kind.REMOVE, Kind.RENAME, Kind.LINK, Kind.MKDIR}
#: Calls that a trouble can come of.
_COMES_OF = {
    Trouble.ENOSPC: {Kind.OPEN, Kind.WRITE, Kind.SYNC, Kind.RENAME, Kind.LINK, Kind.MKDIR},
    Trouble.EIO: set(Kind) - {Kind.LOCK},
    Trouble.EROFS: {Kind.OPEN, Kind.WRITE, Kind.TRUNCATE, *_NAMES},
    Trouble.BUSY: {Kind.LOCK},
    Trouble.CORRUPT: {Kind.READ},
}


class Faults(Watch):
    """Lets the n-th call fail that a trouble can come of, 1 being the first; `nth` 0 for none."""

    def __init__(self, root: Path, trouble: Trouble, *, nth: int, for_ever: bool = False) -> None:
        super().__init__(root)
        self._trouble = trouble
        self._nth = self._nth_said = nth
        self._for_ever = for_ever
        #: Calls that it might have come of.
        self.count = 0
        #: Those that have failed, for whoever looks for the reason of what came then.
        self.failed: list[str] = []

    def heal(self) -> None:
        """Fail no more."""
        self._nth = 0

    @property
    def passes(self) -> bool:
        """Whether the store has to be well again once the disk is. Damage does not pass."""
        return self._trouble is not Trouble.CORRUPT

    @property
    def described(self) -> str:
        """Which calls fail, and those that have."""
        more = " and all after" if self._for_ever else ""
        return f"{self._trouble} at call {self._nth_said}{more} ({', '.join(self.failed[:3])})"

    def trouble(self, kind: Kind, path: str) -> Trouble | None:
        if kind not in _COMES_OF[self._trouble]:
            return None
        self.count += 1
        if (
            not self._nth
            or self.count < self._nth
            or (self.count > self._nth and not self._for_ever)
        ):
            return None
        self.failed.append(f"{kind.value} {Path(path).name}")
        return self._trouble
