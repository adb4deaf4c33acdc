"""Protobuf by hand: just enough to speak with field numbers and nothing of our stubs."""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_WORD = (1 << 64) - 1


def varint(value: int) -> bytes:
    """Little-endian groups of seven bits; a negative number is its 64-bit two's complement."""
    rest = value & _WORD
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    return varint(field << 3 | VARINT) + varint(value)


def blob(field: int, value: bytes | str) -> bytes:
    """A string, bytes or a message: all are length and content."""
    content = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | BYTES) + varint(len(content)) + content


def entry(field: int, key: str, value: bytes | str) -> bytes:
    """One entry of a map: a message of key 1 and value 2."""
    return blob(field, blob(1, key) + blob(2, value))


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Every field in the order it came, by number."""
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        if tag & 7 == VARINT:
            value, at = _read_varint(data, at)
            yield tag >> 3, value
        elif tag & 7 == BYTES:
            length, at = _read_varint(data, at)
            assert at + length <= len(data)
            yield tag >> 3, data[at : at + length]
            at += length
        else:
            raise AssertionError(f"wire type {tag & 7} is in none of these messages")


def decode(data: bytes) -> dict[int, list[int | bytes]]:
    """All values of every field number."""
    found: dict[int, list[int | bytes]] = {}
    for field, value in fields(data):
        found.setdefault(field, []).append(value)
    return found


def message(data: bytes, field: int) -> bytes:
    """The one value of a field that is length and content; b"" where it is absent."""
    values = decode(data).get(field, [b""])
    assert len(values) == 1
    assert isinstance(values[0], bytes)
    return values[0]


def signed(value: int | bytes) -> int:
    """A varint as the signed number that it stands for."""
    assert isinstance(value, int)
    return value - (1 << 64) if value >> 63 else value


def mapping(data: bytes, field: int) -> dict[str, bytes]:
    """A map of strings to strings or bytes."""
    entries = decode(data).get(field, [])
    return {
        message(item, 1).decode(): message(item, 2) for item in entries if isinstance(item, bytes)
    }


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
