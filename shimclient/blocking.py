"""A ttrpc client for programs that are not asynchronous: one connection, one call at a time.

It needs no asyncio, whose import alone takes longer than most calls do.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import Message

from shimclient.address import socket_path
from shimclient.errors import ConnectFailed, LocalDeadline, NotConnected, ShimError, TransportLost
from shimclient.messages import decode_reply, encode_request, outcome_of
from shimclient.wire import Decoder, Frame, FrameType, Oversize, encode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

_READ_BYTES = 64 << 10

M = TypeVar("M", bound=Message)


class BlockingClient:
    """One connection to a ttrpc server; `client.Client` for a single thread that may wait."""

    def __init__(self, address: str) -> None:
        """Connect to an address as `Client.connect` takes it. Raises ConnectFailed."""
        path = socket_path(address)
        self._address = address
        self._decoder = Decoder()
        self._next_id = 1
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise ConnectFailed(f"cannot connect to {address}: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """Whether the connection has ended. It never comes back."""
        return self._socket.fileno() < 0

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def call(
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
        """As `Client.call`, which see; but a call that is given up ends the connection."""
        if self.closed:
            raise NotConnected(f"the connection to {self._address} has ended; connect anew")
        data = encode_request(
            service, method, request, wire_timeout_s=wire_timeout_s, metadata=metadata
        )
        try:
            item = self._exchange(data, local_timeout_s)
        except OSError as error:
            self.close()
            if isinstance(error, TimeoutError):
                text = f"no answer from {self._address} within {local_timeout_s} s"
                raise LocalDeadline(text) from None
            raise TransportLost(f"the connection to {self._address} was lost: {error}") from error
        except BaseException:
            self.close()  # What has been sent or read of a frame is not known any more.
            raise
        outcome = outcome_of(item)
        if isinstance(outcome, ShimError):
            raise outcome
        return decode_reply(reply_type, outcome)

    def _exchange(self, data: bytes, timeout_s: float | None) -> Frame | Oversize:
        """Send the request and read up to its answer. Raises OSError, TimeoutError among it."""
        stream_id, self._next_id = self._next_id, self._next_id + 2
        end_s = None if timeout_s is None else time.monotonic() + timeout_s
        self._allow(end_s)
        self._socket.sendall(encode(Frame(stream_id, FrameType.REQUEST, 0, data)))
        while True:
            self._allow(end_s)
            received = self._socket.recv(_READ_BYTES)
            if not received:
                raise ConnectionResetError("it was closed")
            for item in self._decoder.feed(received):
                if item.stream_id == stream_id:
                    return item

    def _allow(self, end_s: float | None) -> None:
        """Let the next step on the socket take what is left of the time."""
        left_s = None if end_s is None else end_s - time.monotonic()
        if left_s is not None and left_s <= 0:
            raise TimeoutError
        self._socket.settimeout(left_s)
