"""What mutants put back: the names of all that must be found, and what cannot be yet."""

from __future__ import annotations

from typing import Final

RACES: Final = tuple(f"R{number}" for number in range(1, 21))
INVARIANTS: Final = tuple(f"I{number}" for number in (*range(1, 15), 16, 17, 20, 21, 22, 23))
BINDING_ROWS: Final = {
    "B1": "before the shim is asked to resume, and not only on its success",
    "B2": "never by an event alone",
    "B3": "at recovery, where it was resumed meanwhile",
    "B4": "for every restore that is only observed",
    "B5": "a commit in doubt leaves no older base",
    "B6": "a name that is not proven is nobody's base",
    "B7": "a restore binding ends with its generation",
    "B8": "the runtime compares the generation",
    "B9": "the sentinel is never a base, nor taken away",
    "B10": "a rollback binds only when it is proven",
    "B11": "where a resume is no restore the bindings stay",
    "B12": "an answered commit is in the catalog",
}
SKIPPED: Final = {
    "B7": "a commit upon a binding of another generation is refused (B8) or invalidates it (B4)"
    " first: no order of events reaches this rule alone, and the core's own tests hold it",
    "R20": "admission: the agent reserves no capacity yet, so there is nothing to take away",
}
