"""A record as bytes and back: JSON in an envelope that says which shape the record has."""

from __future__ import annotations

import msgspec

from cubelet.core.model import Record

#: The shape of the records that this version writes. It grows when a field changes its meaning; a
#: field that is new and has a default needs no new number, a reader ignores what it does not know.
RECORD_VERSION = 1


class Unreadable(Exception):
    """Stored bytes that are no record of a shape we know; the text says why, in one line."""


class _Written(msgspec.Struct, frozen=True):
    v: int
    record: Record


class _Read(msgspec.Struct, frozen=True):
    """The envelope alone: its version decides whether the record inside may be looked at."""

    v: int
    record: msgspec.Raw


_encoder = msgspec.json.Encoder()
_envelope = msgspec.json.Decoder(_Read)
_record = msgspec.json.Decoder(Record)


def encode(record: Record) -> bytes:
    """The record's bytes, UTF-8 JSON. ValueError where a text in it is not Unicode."""
    return _encoder.encode(_Written(v=RECORD_VERSION, record=record))


def decode(data: bytes | str) -> Record:
    """The record that `encode` was given; Unreadable for anything else."""
    try:
        envelope = _envelope.decode(data)
        if envelope.v != RECORD_VERSION:
            raise Unreadable(f"record version {envelope.v}, this agent reads {RECORD_VERSION}")
        return _record.decode(envelope.record)
    except (ValueError, RecursionError) as problem:
        raise Unreadable(f"not a record: {problem}") from problem
