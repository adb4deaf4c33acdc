"""A server's end of one connection: a task for each request, one answer for each task."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from shimclient.calls import StreamLedger
from shimclient.dispatch import (
    CallContext,
    Counters,
    Method,
    Services,
    answer,
    context_of,
    find_method,
    fitting,
    parse_payload,
    parse_request,
)
from shimclient.errors import Code, StatusError
from shimclient.messages import error_response
from shimclient.outbox import Outbox
from shimclient.wire import MESSAGE_BYTES_MAX, Decoder, Flag, Frame, FrameType, Oversize, encode

if TYPE_CHECKING:
    from google.protobuf.message import Message

#: Bytes of one connection that may wait to be looked at; more are looked at without delay.
UNREAD_BYTES_MAX = 64 << 10
_CANCELLED = error_response(Code.CANCELLED, "the handler was cancelled")


@dataclass(slots=True)
class Shared:
    """What the connections of one server share."""

    services: Services
    inflight_max: int
    connections_max: int
    delay_s: float = 0.0
    counters: Counters = field(default_factory=Counters)
    connections: set[ServerConnection] = field(default_factory=set)
    #: Handlers that run. They are held here, since they outlive a connection that drops.
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    closing: bool = False


class ServerConnection(asyncio.Protocol):
    """Serves one peer. Bad frames are answered and never end the connection."""

    def __init__(self, shared: Shared) -> None:
        self.gone = asyncio.Event()
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        self._decoder = Decoder()
        self._streams = StreamLedger()
        self._unread = bytearray()  # What came and is not looked at yet, where that may wait.
        self._running = 0
        self._closes_when_idle = False
        self._transport: asyncio.Transport
        self._outbox: Outbox

    def close_when_idle(self) -> None:
        """Serve what runs and what still comes meanwhile; close as soon as nothing runs."""
        self._look_at_unread()
        self._closes_when_idle = True
        self._close_if_idle()

    def abort(self) -> None:
        """Drop the connection now. Its handlers run on; their replies are dropped."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport over from asyncio, unless there are too many connections."""
        self._transport = cast("asyncio.Transport", transport)
        self._outbox = Outbox(self._transport)
        if len(self._shared.connections) >= self._shared.connections_max:
            self._shared.counters.refused_connections += 1
            self.abort()
            return
        self._shared.connections.add(self)
        if self._shared.closing:
            self.close_when_idle()

    def data_received(self, data: bytes) -> None:
        """Start or answer the requests that these bytes complete, now or `delay_s` later."""
        if not self._shared.delay_s:
            self._read(data)
            return
        if not self._unread:
            self._loop.call_later(self._shared.delay_s, self._look_at_unread)
        self._unread += data
        if len(self._unread) > UNREAD_BYTES_MAX:
            self._look_at_unread()

    def _look_at_unread(self) -> None:
        data = bytes(self._unread)
        self._unread.clear()
        self._read(data)

    def _read(self, data: bytes) -> None:
        for item in self._decoder.feed(data):
            try:
                self._take(item)
            except StatusError as error:
                self._refuse(item.stream_id, error)

    def eof_received(self) -> None:
        """Drop the connection with the peer's half of it, as Go's ttrpc does."""
        self._look_at_unread()
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature.
        """Leave the server's list. Handlers run on: half a pause is worse than a whole one."""
        self._look_at_unread()
        self._shared.connections.discard(self)
        self._outbox.resume()
        self.gone.set()

    def pause_writing(self) -> None:
        """Read no more requests from a peer that does not read its answers."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on."""
        self._transport.resume_reading()

    def _take(self, item: Frame | Oversize) -> None:
        """Begin what a frame asks for. Raises StatusError for what is refused at once."""
        if isinstance(item, Oversize):
            self._oversize(item)
        elif item.type == FrameType.REQUEST:
            self._request(item)
        elif item.type == FrameType.DATA:
            self._data(item)
        else:
            self._shared.counters.skipped += 1

    def _oversize(self, item: Oversize) -> None:
        self._shared.counters.oversized += 1
        if item.type == FrameType.DATA and self._streams.passes_over(item.stream_id, item.flags):
            return
        raise StatusError(
            Code.RESOURCE_EXHAUSTED,
            f"a frame of {item.length} bytes is over the limit of {MESSAGE_BYTES_MAX}",
        )

    def _request(self, frame: Frame) -> None:
        stream_id = frame.stream_id
        self._check(self._streams.fault_of_request(stream_id))
        request = parse_request(frame.data)
        if frame.flags & Flag.REMOTE_OPEN:
            self._streams.refuse_stream(stream_id)
        method = find_method(self._shared.services, request, frame.flags)
        message = parse_payload(method, request)
        if self._running >= self._shared.inflight_max:
            self._shared.counters.refused += 1
            raise StatusError(
                Code.RESOURCE_EXHAUSTED, f"{self._running} requests run already, the most that may"
            )
        self._streams.open(stream_id)
        self._running += 1
        task = self._loop.create_task(self._serve(method, message, context_of(request, stream_id)))
        self._shared.tasks.add(task)
        task.add_done_callback(self._shared.tasks.discard)

    def _data(self, frame: Frame) -> None:
        if not self._streams.passes_over(frame.stream_id, frame.flags):
            self._check(f"stream {frame.stream_id} is no longer active")
        self._shared.counters.skipped += 1

    def _check(self, fault: str | None) -> None:
        if fault is not None:
            self._shared.counters.faults += 1
            raise StatusError(Code.INVALID_ARGUMENT, fault)

    async def _serve(self, method: Method, message: Message, context: CallContext) -> None:
        response = _CANCELLED
        try:
            response = await answer(method, message, context)
        finally:
            self._running -= 1
            self._shared.counters.served += 1
            self._reply(context.stream_id, response)

    def _reply(self, stream_id: int, response: bytes) -> None:
        if self._streams.close(stream_id) and not self._transport.is_closing():
            response = fitting(response, self._shared.counters)
            self._put(stream_id, response, last=not self._running)
        else:
            self._shared.counters.dropped_replies += 1
        self._close_if_idle()

    def _refuse(self, stream_id: int, error: StatusError) -> None:
        """Answer an error. A running handler of that very stream gets no second answer."""
        self._streams.close(stream_id)
        self._put(stream_id, error_response(error.code, error.message))

    def _put(self, stream_id: int, response: bytes, *, last: bool = False) -> None:
        self._outbox.put(encode(Frame(stream_id, FrameType.RESPONSE, 0, response)), last=last)

    def _close_if_idle(self) -> None:
        if self._closes_when_idle and not self._running:
            self._outbox.flush()
            self._transport.close()
