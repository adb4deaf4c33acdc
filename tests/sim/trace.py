"""What happened in a run, line by line in virtual time, and a hash that stands for all of it."""

from __future__ import annotations

import hashlib


class Trace:
    """Lines are kept only where somebody wants to read them; the hash has them all."""

    def __init__(self, *, keep: bool) -> None:
        self.lines: list[str] = []
        self._keep = keep
        self._hash = hashlib.blake2b(digest_size=8)

    def add(self, at_s: float, text: str) -> None:
        """One line."""
        line = f"{at_s:10.3f} {text}"
        self._hash.update(line.encode())
        if self._keep:
            self.lines.append(line)

    @property
    def hash(self) -> str:
        """16 hex characters; equal for equal runs."""
        return self._hash.hexdigest()
