"""Sequences of ttrpc frames that were valid once: made, then mutated, from one source of chance."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from random import Random

from shimclient.api.ttrpc_pb2 import Request, Response, Status
from shimclient.wire import MESSAGE_BYTES_MAX

FRAMES_A_CASE_MAX = 40
#: One case in so many has bodies that are really as long as they say, near the 4 MiB limit.
LONG_CASES = 400

_LENGTHS = (0, 1, MESSAGE_BYTES_MAX - 1, MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX + 1, 2**32 - 1)
_IDS = (0, 1, 2, 3, 2**31, 2**32 - 2, 2**32 - 1)


@dataclass(slots=True)
class RawFrame:
    """A frame whose parts need not agree; the length that it says is its own."""

    length: int
    stream_id: int
    kind: int
    flags: int
    body: bytes

    def pack(self) -> bytes:
        """Its bytes on the wire."""
        return struct.pack(">IIBB", self.length, self.stream_id, self.kind, self.flags) + self.body


def requests(chance: Random) -> list[RawFrame]:
    """What a good client would send to a server with the service `s` and the method `M`."""
    count = chance.randint(1, FRAMES_A_CASE_MAX)
    return [_frame(2 * number + 1, 1, _request(chance)) for number in range(count)]


def responses(chance: Random) -> list[RawFrame]:
    """What a good server would answer to as many calls, in any order."""
    ids = [2 * number + 1 for number in range(chance.randint(1, FRAMES_A_CASE_MAX))]
    chance.shuffle(ids)
    return [_frame(stream_id, 2, _response(chance)) for stream_id in ids]


def mutate(frames: list[RawFrame], chance: Random) -> None:
    """Break a few of them, each in one way or several."""
    for _ in range(chance.randint(0, 6)):
        chance.choice(_MUTATIONS)(frames, chance.randrange(len(frames)), chance)


def lengthen(frames: list[RawFrame], chance: Random) -> None:
    """Give one of them a body of the length that it says, around the limit."""
    frame = chance.choice(frames)
    frame.length = MESSAGE_BYTES_MAX + chance.randint(-2, 2)
    frame.body = bytes(frame.length)


def _frame(stream_id: int, kind: int, body: bytes) -> RawFrame:
    return RawFrame(len(body), stream_id, kind, 0, body)


def _request(chance: Random) -> bytes:
    request = Request(service="s", method="M", payload=b"\x0a\x01x")
    if not chance.randrange(5):
        request.timeout_nano = chance.randint(-(2**63), 2**63 - 1)
        request.metadata.add(key="K", value="v" * chance.randint(0, 20))
    return request.SerializeToString()


def _response(chance: Random) -> bytes:
    if not chance.randrange(3):
        return Response(
            status=Status(code=chance.randint(-3, 20), message="why")
        ).SerializeToString()
    return Response(payload=b"\x0a\x01x").SerializeToString()


def _length(frames: list[RawFrame], at: int, chance: Random) -> None:
    near = max(0, len(frames[at].body) + chance.choice((-1, 1)))
    frames[at].length = chance.choice((*_LENGTHS, near, chance.getrandbits(32)))


def _stream_id(frames: list[RawFrame], at: int, chance: Random) -> None:
    other = chance.choice(frames).stream_id
    frames[at].stream_id = chance.choice((*_IDS, other, chance.getrandbits(32)))


def _kind(frames: list[RawFrame], at: int, chance: Random) -> None:
    frames[at].kind = chance.choice((0, 1, 2, 3, 4, chance.getrandbits(8)))


def _flags(frames: list[RawFrame], at: int, chance: Random) -> None:
    frames[at].flags = chance.choice((1, 2, 3, 4, 5, chance.getrandbits(8)))


def _garbage(frames: list[RawFrame], at: int, chance: Random) -> None:
    frames[at].body = chance.randbytes(chance.randint(0, 40))
    frames[at].length = len(frames[at].body)


def _flip(frames: list[RawFrame], at: int, chance: Random) -> None:
    body = bytearray(frames[at].body)
    if body:
        body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
        frames[at].body = bytes(body)


def _truncate(frames: list[RawFrame], at: int, chance: Random) -> None:
    frames[at].body = frames[at].body[: chance.randint(0, len(frames[at].body))]
    frames[at].length = chance.choice((frames[at].length, len(frames[at].body)))


def _double(frames: list[RawFrame], at: int, chance: Random) -> None:
    again = frames[at]
    copy = RawFrame(again.length, again.stream_id, again.kind, again.flags, again.body)
    frames.insert(chance.randint(0, len(frames)), copy)


def _stream(frames: list[RawFrame], at: int, chance: Random) -> None:
    """Make a request of a stream, with data after it."""
    frames[at].flags = 2
    for _ in range(chance.randint(1, 3)):
        frames.insert(at + 1, _frame(frames[at].stream_id, 3, chance.randbytes(3)))


_MUTATIONS = (
    _length,
    _stream_id,
    _kind,
    _flags,
    _garbage,
    _flip,
    _truncate,
    _double,
    _stream,
)
