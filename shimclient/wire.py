"""The frames of ttrpc, without any I/O: bytes in, frames out, and back.

A frame is a header of ten bytes, big-endian (data length, stream id, type, flags), and its data.
There is no handshake and no checksum: whoever loses step once has lost the connection. So a frame
over the limit is reported as soon as its header is there, and exactly its bytes are skipped.

Numbers as in containerd's ttrpc, PROTOCOL.md.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

from shimclient.errors import TooLarge

HEADER_BYTES = 10
#: The limit of a frame's data, so of a whole encoded Request or Response. Inclusive.
MESSAGE_BYTES_MAX = 4 << 20
STREAM_ID_MAX = 0xFFFFFFFF

_HEADER = struct.Struct(">IIBB")


class FrameType(enum.IntEnum):
    """What a frame carries. Other numbers are no error: a receiver skips them."""

    REQUEST = 1
    RESPONSE = 2
    DATA = 3


class Flag(enum.IntFlag):
    """What a frame says about its stream (ttrpc 1.2); older peers send and expect 0."""

    REMOTE_CLOSED = 1
    REMOTE_OPEN = 2
    NO_DATA = 4


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole frame. The type is a plain int, since a peer may send any."""

    stream_id: int
    type: int
    flags: int = 0
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Oversize:
    """The header of a frame over the limit; its `length` bytes of data are never kept."""

    stream_id: int
    type: int
    flags: int
    length: int


def encode(frame: Frame) -> bytes:
    """The bytes of a frame. Raises TooLarge where its data is over the limit."""
    length = len(frame.data)
    if length > MESSAGE_BYTES_MAX:
        raise TooLarge(f"a message of {length} bytes is over the limit of {MESSAGE_BYTES_MAX}")
    return _HEADER.pack(length, frame.stream_id, frame.type, frame.flags) + frame.data


class Decoder:
    """Cuts a stream of bytes into frames, however the bytes are split.

    Work and memory are linear in the bytes fed: an unfinished frame waits in one growing buffer
    that is looked at only when it is complete, and a length merely announced costs nothing.
    """

    __slots__ = ("_need", "_skip", "_tail")

    def __init__(self) -> None:
        self._tail = bytearray()  # The start of a frame whose end has not come yet.
        self._need = HEADER_BYTES  # How long the tail must be before a look at it is worth while.
        self._skip = 0  # What is still to come of the data of an oversize frame.

    @property
    def at_boundary(self) -> bool:
        """Whether the stream could end here without cutting a frame."""
        return not self._tail and not self._skip

    def feed(self, data: bytes) -> list[Frame | Oversize]:
        """Take the next bytes of the stream; the frames that they complete, in order."""
        if self._tail:
            self._tail += data
            if len(self._tail) < self._need:
                return []
            data = bytes(self._tail)
            self._tail.clear()
        return self._cut(data)

    def _cut(self, data: bytes) -> list[Frame | Oversize]:
        found: list[Frame | Oversize] = []
        at = self._skipped(0, len(data))
        self._need = HEADER_BYTES
        while len(data) - at >= HEADER_BYTES:
            length, stream_id, kind, flags = _HEADER.unpack_from(data, at)
            body = at + HEADER_BYTES
            if length > MESSAGE_BYTES_MAX:
                found.append(Oversize(stream_id, kind, flags, length))
                self._skip = length
                at = self._skipped(body, len(data))
                continue
            end = body + length
            if end > len(data):
                self._need = HEADER_BYTES + length
                break
            found.append(Frame(stream_id, kind, flags, data[body:end]))
            at = end
        self._tail += data[at:]
        return found

    def _skipped(self, at: int, end: int) -> int:
        """Where the bytes from `at` to `end` go on after what is to be skipped of them."""
        step = min(self._skip, end - at)
        self._skip -= step
        return at + step
