"""Writing to one connection: what one turn of the loop has to say goes out in one write.

Many small calls then share a system call, which is most of the cost of a small call.
"""

from __future__ import annotations

import asyncio

#: So much is joined at most before it goes to the transport, whose own high-water mark then counts.
JOINED_BYTES_MAX = 256 << 10


class Outbox:
    """The frames that wait for the end of this turn of the loop. One for each connection."""

    __slots__ = ("_bytes", "_frames", "_loop", "_transport", "_writable")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._frames: list[bytes] = []
        self._bytes = 0
        self._writable = asyncio.Event()
        self._writable.set()

    def put(self, frame: bytes, *, last: bool = False) -> None:
        """Queue a whole frame; it is written before the next turn of the loop ends.

        `last`: no other frame is to be expected soon, so that all that waits may go at once.
        """
        self._frames.append(frame)
        self._bytes += len(frame)
        if last or self._bytes >= JOINED_BYTES_MAX:
            self.flush()
        elif len(self._frames) == 1:
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write now what waits. A closing transport takes nothing more: the peer is lost."""
        if not self._frames:
            return
        if not self._transport.is_closing():
            self._transport.write(b"".join(self._frames))
        self._frames.clear()
        self._bytes = 0

    def pause(self) -> None:
        """The peer does not keep up: `writable` waits from now on."""
        self._writable.clear()

    def resume(self) -> None:
        """The peer has caught up, or is lost: nobody need wait any more."""
        self._writable.set()

    async def writable(self) -> None:
        """Return when the peer takes bytes; at once, without a turn of the loop, if it does now."""
        while not self._writable.is_set():
            await self._writable.wait()
