"""How far the journal was when somebody was last told, in a small file beside the store.

SQLite takes a write-ahead log as far as its checksums go and says nothing of the rest, so a log
that was damaged, cut or removed looks as if its changes had never been. After the death of the
agent alone nothing that was told may be missing: the mark says what that is. It is written once
more after each commit and never synced, so it survives the agent and says nothing after the end of
the host; then the log may rightly end before it, by changes that were not to be synced.

It belongs to one opening of one file, which both name: to a backup in that file's place it says
nothing.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

_BYTES_MAX = 1024


@dataclass(frozen=True, slots=True)
class Told:
    """Which opening it was, and the number of the journal's last line."""

    opening: str
    seq: int


def path_of(store: Path) -> Path:
    """Where the mark of a store is."""
    return store.with_name(store.name + "-mark")


def read(store: Path) -> Told | None:
    """What it says; None where there is none, or none that is whole. OSError."""
    try:
        data = path_of(store).read_bytes()[:_BYTES_MAX]
    except FileNotFoundError:
        return None
    text, _, check = data.rstrip().rpartition(b" ")
    opening, _, number = text.decode(errors="replace").rpartition(" ")
    if check != _check(text) or not number.isdecimal():
        return None
    return Told(opening, int(number))


class Mark:
    """The file, for one opening. `open`, `tell` and `close` in any one thread at a time."""

    def __init__(self, store: Path) -> None:
        self._path = path_of(store)
        self._fd = -1
        self._opening = b""
        self._seq = -1

    def open(self, opening: str) -> None:
        """Begin anew. OSError."""
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._opening = opening.encode()

    def tell(self, seq: int) -> None:
        """Note the journal's last line, before anybody hears of it. OSError."""
        if seq != self._seq:
            # Always as long as before, so that each writing covers the last one.
            text = b"%b %020d" % (self._opening, seq)
            os.pwrite(self._fd, b"%b %b\n" % (text, _check(text)), 0)
            self._seq = seq

    def close(self, *, remove: bool) -> None:
        """Let it be, or remove it, where all is in the file of the store."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if remove:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)


def _check(text: bytes) -> bytes:
    return b"%08x" % zlib.crc32(text)
