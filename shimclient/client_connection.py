"""A client's end of one connection: frames to outcomes. `shimclient.client` is what callers use."""

from __future__ import annotations

import asyncio
from typing import NamedTuple, cast

from shimclient.calls import CallTable
from shimclient.errors import NotConnected, ShimError, TransportLost
from shimclient.messages import outcome_of
from shimclient.outbox import Outbox
from shimclient.wire import Decoder, Frame, FrameType, Oversize, encode

#: What a call ends with. Errors travel as values, so that no future ever holds an unseen exception.
Outcome = bytes | ShimError


class SentCall(NamedTuple):
    """A request on its way: its stream, and the future of its outcome."""

    stream_id: int
    outcome: asyncio.Future[Outcome]


class ClientConnection(asyncio.Protocol):
    """Sends requests and settles their futures; dead for good once the connection has ended."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.late_replies = 0
        self.gone = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._decoder = Decoder()
        self._table: CallTable[asyncio.Future[Outcome]] = CallTable()
        self._transport: asyncio.Transport
        self._outbox: Outbox

    @property
    def closed(self) -> bool:
        """Whether this connection can carry no more calls."""
        return self._transport.is_closing()

    async def writable(self) -> None:
        """Return when the peer takes bytes, or is lost."""
        await self._outbox.writable()

    def send(self, request: bytes) -> SentCall:
        """Send under the next id. Raises NotConnected and LocalLimit, and has sent nothing then."""
        if self.closed:
            raise NotConnected(f"the connection to {self.address} has ended; connect anew")
        outcome: asyncio.Future[Outcome] = self._loop.create_future()
        stream_id = self._table.open(outcome)
        frame = encode(Frame(stream_id, FrameType.REQUEST, 0, request))
        self._outbox.put(frame, last=len(self._table) == 1)  # A lone call has none to wait for.
        return SentCall(stream_id, outcome)

    def forget(self, stream_id: int) -> None:
        """Nobody waits for this answer any more. The peer is told nothing."""
        self._table.take(stream_id)

    def abort(self) -> None:
        """End the connection now."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport over from asyncio."""
        self._transport = cast("asyncio.Transport", transport)
        self._outbox = Outbox(self._transport)

    def data_received(self, data: bytes) -> None:
        """Settle the calls whose answers these bytes complete."""
        for item in self._decoder.feed(data):
            self._settle(item)

    def eof_received(self) -> None:
        """Drop the connection with the peer's half of it: no answer can come any more."""
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail every call that waits, each with an error of its own and the same words."""
        why = str(exc) if exc else "it was closed"
        where = "" if self._decoder.at_boundary else " in the middle of a frame"
        text = f"the connection to {self.address} was lost{where}: {why}"
        for outcome in self._table.take_all():
            if not outcome.done():
                outcome.set_result(TransportLost(text))
        self._outbox.resume()
        self.gone.set()

    def pause_writing(self) -> None:
        """Hold new calls back while the peer does not take our bytes."""
        self._outbox.pause()

    def resume_writing(self) -> None:
        """Let new calls go."""
        self._outbox.resume()

    def _settle(self, item: Frame | Oversize) -> None:
        outcome = self._table.take(item.stream_id)
        if outcome is None or outcome.done():
            self.late_replies += 1
        else:
            outcome.set_result(outcome_of(item))
