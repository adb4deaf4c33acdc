"""What is stored as text and back: JSON in an envelope that says which shape it has."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Protocol, TypeVar

import msgspec

from cubelet.core.bindings import Snapshot
from cubelet.core.model import Outcome, Record

#: The shapes that this version writes, one number for all, as an outcome has a record inside. It
#: grows when a field changes its meaning; a field that is new and has a default needs no new
#: number, a reader ignores what it does not know.
VERSION = 2
#: The one without a checksum, which is still read.
_UNCHECKED = 1

T = TypeVar("T")


class Named(Protocol):
    """What has a row of its own under its id."""

    @property
    def id(self) -> str:
        """The row's key."""
        ...


N = TypeVar("N", bound=Named)


class Unreadable(Exception):
    """Stored text that has no shape we know; the message says why, in one line."""


class _Envelope(msgspec.Struct, frozen=True):
    """It alone decides whether the value inside may be looked at."""

    v: int
    value: msgspec.Raw
    #: CRC-32 of the value's bytes as they stand here.
    crc: int | None = None


_encoder = msgspec.json.Encoder()
_envelope = msgspec.json.Decoder(_Envelope)
#: What `decode` can be asked for.
RECORD = msgspec.json.Decoder(Record)
OUTCOME = msgspec.json.Decoder(Outcome)
SNAPSHOT = msgspec.json.Decoder(Snapshot)


def encode(value: Record | Outcome | Snapshot) -> str:
    """Its JSON. ValueError where a text in it is not Unicode."""
    inside = _encoder.encode(value)
    return f'{{"v":{VERSION},"crc":{zlib.crc32(inside)},"value":{inside.decode()}}}'


def decode(data: bytes | str, kind: msgspec.json.Decoder[T]) -> T:
    """The value of that kind that `encode` was given; Unreadable for anything else."""
    try:
        envelope = _envelope.decode(data)
        if envelope.v not in (VERSION, _UNCHECKED):
            raise Unreadable(f"version {envelope.v}, this agent reads up to {VERSION}")
        if envelope.v == VERSION and envelope.crc != zlib.crc32(envelope.value):
            raise Unreadable("its checksum does not fit, it was changed")
        return kind.decode(envelope.value)
    except (ValueError, RecursionError) as problem:
        raise Unreadable(f"not a stored {kind.type.__name__}: {problem}") from problem


def decode_rows(
    rows: Iterable[tuple[str, str]], kind: msgspec.json.Decoder[N]
) -> tuple[tuple[N, ...], dict[str, str]]:
    """Rows of id and body: the values in their order, and by id why a row cannot be read.

    Where a row's id and that of the value inside differ, one of the two is wrong. Both are told, so
    that the value's own id is not taken for one that was never there.
    """
    values: dict[str, N] = {}
    unreadable: dict[str, str] = {}
    strayed: dict[str, str] = {}
    for row_id, body in rows:
        try:
            value = decode(body, kind)
        except Unreadable as problem:
            unreadable[row_id] = str(problem)
            continue
        if value.id == row_id:
            values[row_id] = value
        else:
            unreadable[row_id] = f"what is inside is that of {value.id!r}"
            strayed[value.id] = f"it is in the row of {row_id!r}"
    for value_id in strayed.keys() - values.keys() - unreadable.keys():
        unreadable[value_id] = strayed[value_id]
    return tuple(values.values()), unreadable
