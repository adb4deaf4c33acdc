"""The chain of the journal: each line has a hash over its content and over the hash before it.

So a line that was changed, taken out, put in or moved does not fit any longer, nor do those after
it: to change one, all that follow had to be written anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import msgspec

#: What stands in the place of a hash before the first line of all.
START = "0" * 64

#: A line's columns in the order of the table, from its number to its detail, without the hash.
Line = Sequence[int | str | None]

_encoder = msgspec.json.Encoder()


def link(before: str, line: Line) -> str:
    """The hash of a line after the one that has the hash `before`: 64 hex characters.

    SHA-256 over `before` and the columns as an array of JSON, as RFC 8785 writes it: UTF-8, nothing
    between the tokens, and escapes only where JSON demands them.
    """
    return hashlib.sha256(before.encode() + _encoder.encode(line)).hexdigest()


def parse_anchor(text: str | None) -> tuple[int, str]:
    """Number and hash of the last line that was dropped; ValueError where it is none."""
    if text is None:
        return 0, START
    number, _, hash_ = text.partition(" ")
    if not number.isdecimal() or len(hash_) != len(START):
        message = f"{text!r} is no anchor of the journal"
        raise ValueError(message)
    return int(number), hash_


def misfits(before: str, lines: Iterable[tuple[Line, str]]) -> Iterator[Line]:
    """Of lines with their hashes, oldest first: those that do not fit to what is before them."""
    for line, found in lines:
        if link(before, line) != found:
            yield line
        before = found
