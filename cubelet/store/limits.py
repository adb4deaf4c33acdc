"""How much a store keeps of what only grows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_DAY_S = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Of one table, oldest rows first: what may go.

    The count beside the age is for clocks: one that jumps ahead makes everything old at once. Rows
    go in the order of their writing, so one with a stamp of the future keeps those behind it until
    there are too many.
    """

    #: So many newest rows stay, whatever their age. At least 1: numbers go on from the last row.
    newest: int
    #: Others stay until they are older than this.
    age_s: int
    #: Never more than this, whatever their age.
    most: int

    def last_to_go(self, oldest: Iterable[tuple[int, int]], *, newest: int, now_ns: int) -> int:
        """The number of the last row that goes, 0 where none does.

        `oldest` are number and stamp of rows, from the oldest on; numbers begin at 1 or later and
        have no gaps, `newest` is the highest of all.
        """
        last = 0
        for number, at_ns in oldest:
            newer = newest - number
            old = now_ns - at_ns > self.age_s * 1_000_000_000
            if not (newer >= self.most or (old and newer >= self.newest)):
                break
            last = number
        return last


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Rows of all sandboxes together."""

    #: Lines of the journal. At most about 60 MB.
    journal: Keep = Keep(newest=10_000, age_s=7 * _DAY_S, most=200_000)
    #: Answers that are remembered by their keys. At most about 400 MB, on a node that changes
    #: something twice a second, day and night; 20 MB where it does so eight times a minute.
    outcomes: Keep = Keep(newest=10_000, age_s=_DAY_S, most=200_000)


#: Those of the agent.
LIMITS = Limits()
