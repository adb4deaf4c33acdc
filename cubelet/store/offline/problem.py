"""One thing that is wrong with a store, as a value."""

from __future__ import annotations

from dataclasses import dataclass

#: The way out that is always there, where there is a backup.
RESTORE = "put a backup in the file's place"


@dataclass(frozen=True, slots=True)
class Problem:
    """Where it is, what it is, and what can be done; each a part of one line."""

    where: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.advice}"
