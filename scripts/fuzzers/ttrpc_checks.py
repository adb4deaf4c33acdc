"""What must hold of the codec, the client and the server, whatever bytes they get."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise
from random import Random

from google.protobuf.message import DecodeError
from google.protobuf.wrappers_pb2 import StringValue

from shimclient import CallContext, Method, ShimError
from shimclient.api.ttrpc_pb2 import Request, Response
from shimclient.client_connection import ClientConnection
from shimclient.server_connection import ServerConnection, Shared
from shimclient.wire import HEADER_BYTES, MESSAGE_BYTES_MAX, Decoder, Frame, Oversize, encode

Item = Frame | Oversize

#: A byte may be looked at when it arrives, when its header is whole and when its frame is whole.
LOOKS_A_BYTE_MAX = 3
#: How many turns of the loop a handler that does not wait may take, start to answer.
TURNS_MAX = 4


class Violation(Exception):
    """A promise did not hold; the text says which."""


class CountingDecoder(Decoder):
    """Counts the bytes it looks at: work without a clock."""

    def __init__(self) -> None:
        super().__init__()
        self.looked_at = 0

    def _cut(self, data: bytes) -> list[Item]:
        self.looked_at += len(data)
        return super()._cut(data)


class Sink(asyncio.Transport):
    """A transport that keeps what is written, and whether the connection was ended."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it."""
        self.written += data

    def is_closing(self) -> bool:
        """Whether anybody ended it."""
        return self.ended

    def abort(self) -> None:
        """Note the end."""
        self.ended = True

    def close(self) -> None:
        """Note the end."""
        self.ended = True


def expect(holds: bool, promise: str) -> None:  # noqa: FBT001  # Reads as a sentence where used.
    """Raise Violation unless the promise holds."""
    if not holds:
        raise Violation(promise)


def reference(data: bytes) -> tuple[list[Item], bool]:
    """The frames of the bytes and whether they end at a boundary, by the plainest code there is."""
    items: list[Item] = []
    at = 0
    while len(data) - at >= HEADER_BYTES:
        length = int.from_bytes(data[at : at + 4], "big")
        stream_id = int.from_bytes(data[at + 4 : at + 8], "big")
        kind, flags = data[at + 8], data[at + 9]
        end = at + HEADER_BYTES + length
        if length > MESSAGE_BYTES_MAX:
            items.append(Oversize(stream_id, kind, flags, length))
        elif end <= len(data):
            items.append(Frame(stream_id, kind, flags, data[at + HEADER_BYTES : end]))
        else:
            return items, False
        at = end
    return items, at == len(data)


def split(data: bytes, chance: Random) -> list[bytes]:
    """The bytes in pieces: all at once, a few pieces, or very small ones."""
    if len(data) > 1 << 16 or chance.randrange(3):
        cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randint(0, 12)))
    else:
        step = chance.randint(1, 16)
        cuts = list(range(step, len(data), step))
    edges = [0, *cuts, len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def check_codec(data: bytes, pieces: list[bytes]) -> tuple[list[Item], bool]:
    """Any split gives the frames of the reference, with work and memory in proportion."""
    expected, boundary = reference(data)
    decoder = CountingDecoder()
    found: list[Item] = []
    held = 0
    for piece in pieces:
        found += decoder.feed(piece)
        held = max(held, len(decoder._tail))  # noqa: SLF001  # Its memory is what is checked.
    expect(found == expected, f"the frames differ: {len(found)} found, {len(expected)} expected")
    expect(decoder.at_boundary == boundary, f"at_boundary is {decoder.at_boundary}")
    expect(decoder.looked_at <= LOOKS_A_BYTE_MAX * len(data), f"{decoder.looked_at} bytes of work")
    expect(held < HEADER_BYTES + MESSAGE_BYTES_MAX, f"{held} bytes were held back")
    return expected, boundary


async def check_server(items: list[Item], pieces: list[bytes], *, boundary: bool) -> None:
    """The server answers each frame at most once, with good frames, and goes on serving."""
    shared = Shared({"s": {"M": Method(StringValue, _echo)}}, inflight_max=16, connections_max=1)
    connection, sink = ServerConnection(shared), Sink()
    connection.connection_made(sink)
    for piece in pieces:
        connection.data_received(piece)
    await _settle()
    expect(not sink.ended, "bad frames ended the connection")
    expect(not shared.tasks, "a handler hangs")
    answers = Counter(item.stream_id for item in _answers(sink))
    asked = Counter(item.stream_id for item in items)
    expect(answers <= asked, "a frame was answered twice, or one that nobody sent")
    free = max((i.stream_id for i in items if i.stream_id % 2), default=-1) + 2
    if boundary and free < 1 << 32:
        sink.written.clear()
        request = Request(service="s", method="M").SerializeToString()
        connection.data_received(encode(Frame(free, 1, 0, request)))
        await _settle()
        expect(_answers(sink) == [Frame(free, 2)], "a good request was not served afterwards")
    connection.connection_lost(None)
    expect(not shared.connections, "a connection that is gone was kept")


async def check_client(items: list[Item], pieces: list[bytes]) -> None:
    """Each frame settles one call or is counted as late; the end settles the rest."""
    connection, sink = ClientConnection("unix:///fuzz"), Sink()
    connection.connection_made(sink)
    calls = [connection.send(b"") for _ in range(16)]
    for piece in pieces:
        connection.data_received(piece)
    settled = sum(call.outcome.done() for call in calls)
    expect(settled + connection.late_replies == len(items), "a frame was lost or counted twice")
    expect(not sink.ended, "bad frames ended the connection")
    connection.connection_lost(None)
    for call in calls:
        expect(call.outcome.done(), "a call was left waiting on a lost connection")
        expect(isinstance(call.outcome.result(), bytes | ShimError), "an outcome is neither")
    await asyncio.sleep(0)


async def _echo(message: StringValue, _context: CallContext) -> StringValue:
    return message


async def _settle() -> None:
    for _ in range(TURNS_MAX):
        await asyncio.sleep(0)


def _answers(sink: Sink) -> list[Frame]:
    """What was written, as frames that a peer can read."""
    items, boundary = reference(bytes(sink.written))
    expect(boundary, "a frame was written in part")
    frames = [item for item in items if isinstance(item, Frame)]
    expect(len(frames) == len(items), "a frame over the limit was written")
    expect(all((f.type, f.flags) == (2, 0) for f in frames), "what was written is no response")
    try:
        for frame in frames:
            Response.FromString(frame.data)
    except DecodeError:
        raise Violation("what was written does not decode") from None
    return frames
