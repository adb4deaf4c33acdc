"""The stream ids of one connection, without any I/O: the caller's side and the server's side.

Both are plain state that changes in one step, so no answer can slip between a check and its use.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from shimclient.errors import LocalLimit
from shimclient.wire import STREAM_ID_MAX, Flag

#: How many refused streams a server remembers, so that their trailing data gets no second answer.
REFUSED_STREAMS_MAX = 256

T = TypeVar("T")


class CallTable(Generic[T]):
    """The calls of a client that wait for an answer, by stream id; `T` is what waits."""

    __slots__ = ("_next_id", "_waiting")

    def __init__(self, *, first_id: int = 1) -> None:
        self._next_id = first_id
        self._waiting: dict[int, T] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def open(self, waiter: T) -> int:
        """The id of a new call: odd, and higher than all before. Raises LocalLimit at their end."""
        stream_id = self._next_id
        if stream_id > STREAM_ID_MAX:
            raise LocalLimit("the stream ids of this connection are used up; connect anew")
        self._next_id += 2
        self._waiting[stream_id] = waiter
        return stream_id

    def take(self, stream_id: int) -> T | None:
        """Remove and return what waits at the id: None where nothing does (any more)."""
        return self._waiting.pop(stream_id, None)

    def take_all(self) -> list[T]:
        """Remove and return everything that waits."""
        waiters = list(self._waiting.values())
        self._waiting.clear()
        return waiters


class StreamLedger:
    """What a server knows of the streams of one connection.

    A stream is open from its request to its one answer. Ids are odd and increase, as ttrpc 1.2
    wants it.
    """

    __slots__ = ("_last_id", "_open", "_refused")

    def __init__(self) -> None:
        self._last_id = 0
        self._open: set[int] = set()
        self._refused: dict[int, None] = {}  # In order of arrival.

    def fault_of_request(self, stream_id: int) -> str | None:
        """Use up the id of a new request; or why no request may have this id."""
        if stream_id % 2 == 0:
            return f"stream id {stream_id} is even; a client's ids are odd"
        if stream_id <= self._last_id:
            return f"stream id {stream_id} cannot be re-used and must increment"
        self._last_id = stream_id
        return None

    def passes_over(self, stream_id: int, flags: int) -> bool:
        """Whether data on this stream is to be ignored in silence; if not, it is an error.

        It is ignored on an open stream, whose unary request is complete without it, and on a
        refused one, which has its answer already, until the client closes its side.
        """
        if stream_id not in self._refused:
            return stream_id in self._open
        if flags & Flag.REMOTE_CLOSED:
            del self._refused[stream_id]
        return True

    def open(self, stream_id: int) -> None:
        """The request of this id has begun to be served."""
        self._open.add(stream_id)

    def refuse_stream(self, stream_id: int) -> None:
        """The client was told that it may not stream; more of its frames may be on the way."""
        self._refused[stream_id] = None
        if len(self._refused) > REFUSED_STREAMS_MAX:
            del self._refused[next(iter(self._refused))]

    def close(self, stream_id: int) -> bool:
        """The stream gets its answer now; whether it was still waiting for one."""
        if stream_id not in self._open:
            return False
        self._open.remove(stream_id)
        return True
