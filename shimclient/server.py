"""A ttrpc server for asyncio: unary methods on unix sockets."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from shimclient.dispatch import CallContext, Counters, Handler, Method, Services
from shimclient.listen import SocketFile, bind_unix, remove_own, socket_file
from shimclient.server_connection import ServerConnection, Shared

if TYPE_CHECKING:
    import socket

__all__ = ["CallContext", "Counters", "Handler", "Method", "Server", "Services"]

#: How many requests of one connection may run at a time; more are answered with code 8.
INFLIGHT_MAX = 1024
#: How many connections a server holds; more are closed unread.
CONNECTIONS_MAX = 256


class Server:
    """Serves a fixed set of services until `close`. What it has met is in `counters`.

    `delay_s` is how long after its arrival a request is first looked at: for peers that wait for
    nothing, so that they are never in the way of those that do.

    A handler is never cancelled by the server: not when its peer drops, and not by `close`. Whoever
    ends the process decides about those that still run (`running`, `cancel`).
    """

    def __init__(
        self,
        services: Services,
        *,
        inflight_max: int = INFLIGHT_MAX,
        connections_max: int = CONNECTIONS_MAX,
        delay_s: float = 0.0,
    ) -> None:
        self._shared = Shared(services, inflight_max, connections_max, delay_s)
        # asyncio does not keep a listening Server alive by itself, so it is held here.
        self._listeners: list[tuple[asyncio.Server, SocketFile | None]] = []

    @property
    def counters(self) -> Counters:
        """What was served, refused, skipped and dropped so far."""
        return self._shared.counters

    @property
    def running(self) -> int:
        """How many handlers run now, those whose peer is gone included."""
        return len(self._shared.tasks)

    @property
    def connections(self) -> int:
        """How many peers are connected now."""
        return len(self._shared.connections)

    async def serve_path(self, path: str) -> None:
        """Listen on a unix socket at `path` (0600); returns when it listens.

        A dead socket file is replaced. Raises OSError with EADDRINUSE where another server lives.
        """
        await self.serve_socket(bind_unix(path))

    async def serve_socket(self, listener: socket.socket) -> None:
        """Listen on a bound unix socket, which is ours from now on; returns when it listens."""
        file = socket_file(listener)
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(
            lambda: ServerConnection(self._shared), sock=listener
        )
        self._listeners.append((server, file))

    async def close(self, *, grace_s: float) -> None:
        """Stop listening, let what runs end, then drop the rest after `grace_s`.

        Socket files are removed and idle connections closed at once. A connection with a call in
        flight takes further calls until it is idle for the first time, as Go's ttrpc does.
        """
        self._shared.closing = True
        self._stop_listening()
        for connection in list(self._shared.connections):
            connection.close_when_idle()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._all_gone()
        for connection in list(self._shared.connections):
            connection.abort()
        await self._all_gone()

    def cancel(self) -> None:
        """Cancel the handlers that run, each once; their peers are answered code 1."""
        for task in self._shared.tasks:
            if not task.cancelling():
                task.cancel()

    def _stop_listening(self) -> None:
        for server, file in self._listeners:
            if file is not None:
                remove_own(file)
            server.close()
        self._listeners.clear()

    async def _all_gone(self) -> None:
        for connection in list(self._shared.connections):
            await connection.gone.wait()
