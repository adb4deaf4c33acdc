"""Raw peers: they speak frames only, so that the wire is tested and not our own other end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BytesValue, StringValue

from shimclient import CallContext, Method, Server, StatusError
from shimclient.api.ttrpc_pb2 import Request, Response, Status
from shimclient.wire import MESSAGE_BYTES_MAX, Decoder, Frame, Oversize, encode


class RawPeer:
    """One end of a connection, as frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._decoder = Decoder()
        self._ready: list[Frame] = []

    async def send(self, *frames: Frame) -> None:
        await self.send_bytes(b"".join(map(encode, frames)))

    async def send_bytes(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def receive(self) -> Frame | None:
        """The next frame; None when the other end has closed between two frames."""
        while not self._ready:
            data = await self.reader.read(1 << 16)
            if not data:
                assert self._decoder.at_boundary
                return None
            for item in self._decoder.feed(data):
                assert not isinstance(item, Oversize)
                self._ready.append(item)
        return self._ready.pop(0)

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()

    # As a client.

    async def request(
        self, stream_id: int, method: str, message: Message | bytes = b"", *, flags: int = 0
    ) -> None:
        await self.send(request_frame(stream_id, method, message, flags=flags))

    async def status(self) -> tuple[int, int, str]:
        """Stream id, code and text of the next response."""
        frame = await self.receive()
        assert frame is not None
        assert (frame.type, frame.flags) == (2, 0)
        status = Response.FromString(frame.data).status
        return frame.stream_id, status.code, status.message

    async def code(self) -> tuple[int, int]:
        return (await self.status())[:2]

    # As a server.

    async def take_request(self) -> tuple[int, Request]:
        frame = await self.receive()
        assert frame is not None
        assert (frame.type, frame.flags) == (1, 0)
        return frame.stream_id, Request.FromString(frame.data)

    async def reply(self, stream_id: int, message: Message) -> None:
        data = Response(payload=message.SerializeToString()).SerializeToString()
        await self.send(Frame(stream_id, 2, 0, data))

    async def refuse(self, stream_id: int, code: int, text: str) -> None:
        data = Response(status=Status(code=code, message=text)).SerializeToString()
        await self.send(Frame(stream_id, 2, 0, data))


def request_frame(
    stream_id: int, method: str, message: Message | bytes = b"", *, flags: int = 0
) -> Frame:
    payload = message if isinstance(message, bytes) else message.SerializeToString()
    data = Request(service="test.Echo", method=method, payload=payload).SerializeToString()
    return Frame(stream_id, 1, flags, data)


def oversize(stream_id: int, kind: int, length: int = MESSAGE_BYTES_MAX + 1) -> bytes:
    header = length.to_bytes(4, "big") + stream_id.to_bytes(4, "big") + bytes([kind, 0])
    return header + bytes(length)


class Echo:
    """A service whose `Hold` ends when the test says so."""

    def __init__(self) -> None:
        self.held: asyncio.Queue[CallContext] = asyncio.Queue()
        self.release = asyncio.Event()
        self.ended: asyncio.Queue[str] = asyncio.Queue()
        self.error: BaseException = StatusError(5, "not here")

    def methods(self) -> dict[str, Method]:
        return {
            "Echo": Method(StringValue, self.echo),
            "Hold": Method(StringValue, self.hold),
            "Fail": Method(Empty, self.fail),
            "Nothing": Method(Empty, self.nothing),
            "Big": Method(Empty, self.big),
        }

    async def echo(self, message: StringValue, _context: CallContext) -> Message:
        return message

    async def hold(self, message: StringValue, context: CallContext) -> Message:
        self.held.put_nowait(context)
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.ended.put_nowait("cancelled")
            raise
        self.ended.put_nowait("released")
        return message

    async def fail(self, _message: Empty, _context: CallContext) -> Message:
        raise self.error

    async def nothing(self, _message: Empty, _context: CallContext) -> Message:
        return None  # type: ignore[return-value]  # The wrong handler is the case.

    async def big(self, _message: Empty, _context: CallContext) -> Message:
        return BytesValue(value=bytes(MESSAGE_BYTES_MAX))


@asynccontextmanager
async def raw_client(path: Path) -> AsyncIterator[RawPeer]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    peer = RawPeer(reader, writer)
    try:
        yield peer
    finally:
        writer.close()


@asynccontextmanager
async def raw_server(path: Path) -> AsyncIterator[Callable[[], asyncio.Future[RawPeer]]]:
    """Listens at the path; what it gives returns the next peer that connects."""
    arrived: asyncio.Queue[RawPeer] = asyncio.Queue()
    peers: list[RawPeer] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(RawPeer(reader, writer))
        arrived.put_nowait(peers[-1])

    server = await asyncio.start_unix_server(accept, str(path))
    try:
        yield lambda: asyncio.ensure_future(arrived.get())
    finally:
        server.close()
        for peer in peers:
            peer.writer.close()


def is_there(path: Path) -> bool:
    """Whether the file exists; a look that does not block for long, so tests may take it."""
    return path.exists()


def echo_server(echo: Echo, *, inflight_max: int = 1024, connections_max: int = 256) -> Server:
    return Server(
        {"test.Echo": echo.methods()}, inflight_max=inflight_max, connections_max=connections_max
    )
