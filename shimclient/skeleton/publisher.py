"""How a shim sends its events: bounded, one at a time, tried again, never in the way of a call.

The law is that of containerd's shims (pkg/shim's RemoteEventsPublisher): a queue of 128, 5 s for
one Forward, five repeats after 1, 2, 3, 4 and 5 s, then the event is dropped. Two things are better
here: a full queue drops its oldest event instead of making Pause wait for the sink, and an envelope
is stamped when the thing happened, not when it left the queue.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from shimclient.api import events_pb2, task_pb2
from shimclient.client import Client
from shimclient.errors import ConnectFailed, ShimError, TransportLost
from shimclient.events import EVENTS_SERVICE, NAMESPACE_METADATA, pack_event

if TYPE_CHECKING:
    from google.protobuf.message import Message

QUEUE_MAX: Final = 128
FORWARD_TIMEOUT_S: Final = 5.0
REPEATS_MAX: Final = 5


class Publisher:
    """Sends one shim's events to one sink, from `start` to `close`; counters tell the losses."""

    def __init__(self, address: str, *, namespace: str, queue_max: int = QUEUE_MAX) -> None:
        """Take the sink's address ("" where nobody wants events: they are then dropped at once)."""
        self._address = address
        self._namespace = namespace
        self._queue: deque[tuple[events_pb2.Envelope, int]] = deque()
        self._queue_max = queue_max
        self._queued = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._delayed: set[asyncio.TimerHandle] = set()
        self._in_flight = 0
        self._client: Client | None = None
        self._sender: asyncio.Task[None] | None = None
        self.sent = 0
        self.overflowed = 0
        self.given_up = 0

    def start(self) -> None:
        """Begin to send, in the running loop."""
        self._sender = asyncio.create_task(self._send_all(), name="event publisher")

    def publish(self, message: Message, *, at_ns: int) -> None:
        """Queue one task event that happened at `at_ns` (wall clock). Never waits."""
        if self._address:
            self._enqueue(pack_event(message, namespace=self._namespace, at_ns=at_ns), 0)

    async def close(self, *, grace_s: float) -> None:
        """Give what is queued `grace_s` to get out, then stop; what is left is lost."""
        if self._sender is None:
            return
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            self.given_up += len(self._queue) + len(self._delayed) + self._in_flight
        for timer in self._delayed:
            timer.cancel()
        self._sender.cancel()
        await asyncio.gather(self._sender, return_exceptions=True)
        await self._hang_up()

    def _enqueue(self, envelope: events_pb2.Envelope, repeats: int) -> None:
        if len(self._queue) >= self._queue_max:
            self._queue.popleft()
            self.overflowed += 1
        self._queue.append((envelope, repeats))
        self._queued.set()
        self._idle.clear()

    async def _send_all(self) -> None:
        while True:
            if not self._queue:
                self._queued.clear()
                if not self._delayed:
                    self._idle.set()
                await self._queued.wait()
            envelope, repeats = self._queue.popleft()
            self._in_flight = 1
            taken = await self._forward(envelope)
            self._in_flight = 0
            if taken:
                self.sent += 1
            elif repeats == REPEATS_MAX:
                self.given_up += 1
            else:
                self._repeat_later(envelope, repeats + 1)

    def _repeat_later(self, envelope: events_pb2.Envelope, repeats: int) -> None:
        """Queue it again after as many seconds as it has been repeated; others overtake it."""

        def due() -> None:
            self._delayed.discard(timer)
            self._enqueue(envelope, repeats)

        timer = asyncio.get_running_loop().call_later(float(repeats), due)
        self._delayed.add(timer)

    async def _forward(self, envelope: events_pb2.Envelope) -> bool:
        """Whether the sink took it. A connection that was lost is dialled again once, at once."""
        try:
            try:
                await self._call(envelope)
            except TransportLost:
                await self._hang_up()
                await self._call(envelope)
        except (ConnectFailed, TransportLost):
            await self._hang_up()
            return False
        except ShimError:
            return False
        return True

    async def _call(self, envelope: events_pb2.Envelope) -> None:
        if self._client is None:
            self._client = await Client.connect(self._address)
        await self._client.call(
            EVENTS_SERVICE,
            "Forward",
            events_pb2.ForwardRequest(envelope=envelope),
            task_pb2.Empty,
            local_timeout_s=FORWARD_TIMEOUT_S,
            wire_timeout_s=FORWARD_TIMEOUT_S,
            metadata=((NAMESPACE_METADATA, self._namespace),),
        )

    async def _hang_up(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()
