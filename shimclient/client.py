"""A ttrpc client for asyncio: unary calls over one unix socket connection.

It never reconnects by itself: that a shim has died is something its caller must see.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import Message

from shimclient.address import socket_path
from shimclient.client_connection import ClientConnection, Outcome, SentCall
from shimclient.errors import ConnectFailed, LocalDeadline, LocalLimit, NeverSent, ShimError
from shimclient.messages import decode_reply, encode_request

if TYPE_CHECKING:
    from collections.abc import Sequence

#: How many calls of one client may wait at a time, those held back by the peer included.
PENDING_CALLS_MAX = 1024

M = TypeVar("M", bound=Message)


class Client:
    """One connection to a ttrpc server. Made by `connect`; safe for any number of tasks."""

    def __init__(self, connection: ClientConnection, *, pending_max: int) -> None:
        self._connection = connection
        self._pending_max = pending_max
        self._pending = 0

    @classmethod
    async def connect(cls, address: str, *, pending_max: int = PENDING_CALLS_MAX) -> Client:
        """Connect to `unix:///path`, `unix:/path` or a bare path. Raises ConnectFailed.

        A stopped shim still accepts: that this returns says nothing about the peer's health.
        """
        path = socket_path(address)
        loop = asyncio.get_running_loop()
        try:
            transport, connection = await loop.create_unix_connection(
                lambda: ClientConnection(address), path
            )
        except OSError as error:
            raise ConnectFailed(f"cannot connect to {address}: {error}") from error
        if transport.get_extra_info("peername") is None:
            # A full queue of the listener gives EAGAIN, which asyncio takes for a connection.
            transport.abort()
            raise ConnectFailed(f"cannot connect to {address}: too many wait to be accepted there")
        return cls(connection, pending_max=pending_max)

    @property
    def late_replies(self) -> int:
        """How many answers came for calls that nobody waited for any more."""
        return self._connection.late_replies

    @property
    def pending(self) -> int:
        """How many calls wait now."""
        return self._pending

    @property
    def closed(self) -> bool:
        """Whether the connection has ended. It never comes back."""
        return self._connection.closed

    async def call(
        self,
        service: str,
        method: str,
        request: Message,
        reply_type: type[M],
        *,
        local_timeout_s: float | None,
        wire_timeout_s: float | None = None,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> M:
        """Call `service`/`method` and wait for its reply.

        `local_timeout_s` ends our waiting only (LocalDeadline); the peer learns nothing of it.
        `wire_timeout_s` is sent along, counts from when the peer reads it, and to containerd's runc
        shim means that runc is killed: give it only where that is wanted. A caller that is
        cancelled takes back nothing that was sent. Raises ShimError and its kinds only.
        """
        data = encode_request(
            service, method, request, wire_timeout_s=wire_timeout_s, metadata=metadata
        )
        if self._pending >= self._pending_max:
            raise LocalLimit(
                f"{self._pending} calls to {self._connection.address} wait already, the most that"
                f" may; {service}/{method} was not sent"
            )
        self._pending += 1
        try:
            outcome = await self._exchange(data, local_timeout_s)
        finally:
            self._pending -= 1
        if isinstance(outcome, ShimError):
            raise outcome
        return decode_reply(reply_type, outcome)

    async def wait_closed(self) -> None:
        """Return when the connection is gone, by us or by the peer."""
        await self._connection.gone.wait()

    async def close(self) -> None:
        """End the connection at once. Calls that wait fail with TransportLost."""
        self._connection.abort()
        await self.wait_closed()

    async def _exchange(self, data: bytes, timeout_s: float | None) -> Outcome:
        sent: SentCall | None = None
        try:
            async with asyncio.timeout(timeout_s):
                await self._connection.writable()
                if timeout_s is None or timeout_s > 0:
                    sent = self._connection.send(data)
                    return await sent.outcome
        except TimeoutError:
            if sent is not None and not sent.outcome.cancelled():
                return sent.outcome.result()  # The answer came in the same turn of the loop.
        finally:
            if sent is not None:
                self._connection.forget(sent.stream_id)
        return self._expired(timeout_s, sent=sent is not None)

    def _expired(self, timeout_s: float | None, *, sent: bool) -> LocalDeadline:
        what = f"no answer from {self._connection.address} within {timeout_s} s"
        return LocalDeadline(what) if sent else NeverSent(f"{what}; the request was never sent")
