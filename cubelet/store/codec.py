"""What is stored as text and back: JSON in an envelope that says which shape it has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

import msgspec

from cubelet.core.bindings import Snapshot
from cubelet.core.model import Outcome, Record

#: The shapes that this version writes, one number for all, as an outcome has a record inside. It
#: grows when a field changes its meaning; a field that is new and has a default needs no new
#: number, a reader ignores what it does not know.
VERSION = 1

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


class _Written(msgspec.Struct, frozen=True):
    v: int
    value: Record | Outcome | Snapshot


class _Read(msgspec.Struct, frozen=True):
    """The envelope alone: its version decides whether the value inside may be looked at."""

    v: int
    value: msgspec.Raw


_encoder = msgspec.json.Encoder()
_envelope = msgspec.json.Decoder(_Read)
#: What `decode` can be asked for.
RECORD = msgspec.json.Decoder(Record)
OUTCOME = msgspec.json.Decoder(Outcome)
SNAPSHOT = msgspec.json.Decoder(Snapshot)


def encode(value: Record | Outcome | Snapshot) -> str:
    """Its JSON. ValueError where a text in it is not Unicode."""
    return _encoder.encode(_Written(v=VERSION, value=value)).decode()


def decode(data: bytes | str, kind: msgspec.json.Decoder[T]) -> T:
    """The value of that kind that `encode` was given; Unreadable for anything else."""
    try:
        envelope = _envelope.decode(data)
        if envelope.v != VERSION:
            raise Unreadable(f"version {envelope.v}, this agent reads {VERSION}")
        return kind.decode(envelope.value)
    except (ValueError, RecursionError) as problem:
        raise Unreadable(f"not a stored {kind.type.__name__}: {problem}") from problem


def decode_rows(
    rows: Iterable[tuple[str, str]], kind: msgspec.json.Decoder[N]
) -> tuple[tuple[N, ...], dict[str, str]]:
    """Rows of id and body: the values in their order, and by id why a row cannot be read."""
    values: list[N] = []
    unreadable: dict[str, str] = {}
    for row_id, body in rows:
        try:
            values.append(_under(row_id, decode(body, kind)))
        except Unreadable as problem:
            unreadable[row_id] = str(problem)
    return tuple(values), unreadable


def _under(row_id: str, value: N) -> N:
    if value.id != row_id:
        raise Unreadable(f"what is inside is that of {value.id!r}")
    return value
