"""How much a store keeps of what only grows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Rows of all sandboxes together; each new one drops the oldest beyond that."""

    #: Lines of the journal. About 40 MB.
    entries: int = 200_000
    #: Answers that are remembered by their keys. About 20 MB.
    outcomes: int = 10_000


#: Those of the agent.
LIMITS = Limits()
