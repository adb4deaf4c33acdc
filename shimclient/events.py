"""The events that shims forward, and a server that receives them without ever holding a shim up.

Events are hints: they come late, twice, in any order or not at all. What they say must be asked for
again before it is believed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError, Message

from shimclient.api import events_pb2, task_pb2
from shimclient.server import CallContext, Method, Server
from shimclient.stamps import set_stamp, stamp_ns

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

EVENTS_SERVICE: Final = "containerd.services.events.ttrpc.v1.Events"
#: An event comes in the same moment as the answer of the call that caused it, which somebody waits
#: for; nobody waits for the event. A shim sends its next one once this has its answer.
FORWARD_DELAY_S: Final = 0.005
#: The metadata key in which a shim names its namespace.
NAMESPACE_METADATA: Final = "containerd-namespace-ttrpc"
_TYPE_PREFIX: Final = "containerd.events."

#: Every task event by its topic (containerd's runtime/events.go).
EVENT_TYPES: Final[Mapping[str, type[Message]]] = {
    "/tasks/create": events_pb2.TaskCreate,
    "/tasks/start": events_pb2.TaskStart,
    "/tasks/exit": events_pb2.TaskExit,
    "/tasks/delete": events_pb2.TaskDelete,
    "/tasks/oom": events_pb2.TaskOOM,
    "/tasks/exec-added": events_pb2.TaskExecAdded,
    "/tasks/exec-started": events_pb2.TaskExecStarted,
    "/tasks/paused": events_pb2.TaskPaused,
    "/tasks/resumed": events_pb2.TaskResumed,
    "/tasks/checkpointed": events_pb2.TaskCheckpointed,
}
_TYPES_BY_URL: Final = {_TYPE_PREFIX + kind.DESCRIPTOR.name: kind for kind in EVENT_TYPES.values()}
_TOPICS_BY_NAME: Final = {kind.DESCRIPTOR.name: topic for topic, kind in EVENT_TYPES.items()}


class UndecodableEvent(Exception):
    """An envelope without a task event that we know; the text says what was there instead."""


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """One event of one task.

    `at_ns` is the envelope's stamp (wall clock of the shim; containerd's shims stamp when the event
    leaves their queue), 0 where there is none. `exec_id` is "" for the container itself.
    """

    topic: str
    namespace: str
    container_id: str
    at_ns: int
    message: Message
    exec_id: str = ""


def pack_event(message: Message, *, namespace: str, at_ns: int) -> events_pb2.Envelope:
    """The envelope in which a shim forwards a task event; the type's name is bare, as in Go."""
    name = message.DESCRIPTOR.name
    envelope = events_pb2.Envelope(
        namespace=namespace,
        topic=topic_of(message),
        event=AnyMessage(type_url=_TYPE_PREFIX + name, value=message.SerializeToString()),
    )
    set_stamp(envelope.timestamp, at_ns)
    return envelope


def topic_of(message: Message) -> str:
    """The topic of a task event."""
    return _TOPICS_BY_NAME[message.DESCRIPTOR.name]


def decode_event(envelope: events_pb2.Envelope) -> TaskEvent:
    """The task event in an envelope, by its type (the part after the last slash).

    Raises UndecodableEvent.
    """
    kind = _TYPES_BY_URL.get(envelope.event.type_url.rpartition("/")[2])
    if kind is None:
        raise UndecodableEvent(f"no task event: type {envelope.event.type_url[:200]!r}")
    try:
        message = kind.FromString(envelope.event.value)
    except DecodeError as error:
        raise UndecodableEvent(f"{kind.DESCRIPTOR.name}: {error}") from error
    container_id: str = getattr(message, "container_id")  # noqa: B009 - each of the types has it
    return TaskEvent(
        topic=envelope.topic,
        namespace=envelope.namespace,
        container_id=container_id,
        at_ns=stamp_ns(envelope.timestamp) or 0,
        message=message,
        exec_id=_exec_id(message, container_id),
    )


def _exec_id(message: Message, container_id: str) -> str:
    """The exec an event is about; exits and deletions name the container itself by its own id."""
    if isinstance(message, (events_pb2.TaskExecAdded, events_pb2.TaskExecStarted)):
        return message.exec_id
    if isinstance(message, (events_pb2.TaskExit, events_pb2.TaskDelete)):
        return "" if message.id == container_id else message.id
    return ""


class EventsServer:
    """Serves Events/Forward to any number of shims: answers first, keeps what came for `next`.

    A full queue loses its oldest event (`dropped`): a late reader wants the newest.
    """

    def __init__(self, *, queue_max: int = 4096) -> None:
        self._queue: deque[TaskEvent] = deque()
        self._queue_max = queue_max
        self._arrived = asyncio.Event()
        self._server = Server(
            {EVENTS_SERVICE: {"Forward": Method(events_pb2.ForwardRequest, self._forward)}},
            delay_s=FORWARD_DELAY_S,
        )
        self.received = 0
        self.dropped = 0
        self.undecodable = 0

    async def serve_path(self, path: str) -> None:
        """Listen at a unix socket (0600)."""
        await self._server.serve_path(path)

    async def serve_socket(self, listener: socket.socket) -> None:
        """Listen at a socket that is bound already."""
        await self._server.serve_socket(listener)

    async def next(self) -> TaskEvent:
        """The oldest event that is kept; waits for one. For one reader."""
        while not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        return self._queue.popleft()

    async def close(self) -> None:
        """Stop listening and hang up; what is queued can still be taken."""
        await self._server.close(grace_s=0.0)

    async def _forward(self, request: events_pb2.ForwardRequest, _: CallContext) -> task_pb2.Empty:
        """Keep it and answer. Keeping never waits, so the answer goes out at once."""
        self.received += 1
        try:
            event = decode_event(request.envelope)
        except UndecodableEvent:
            self.undecodable += 1
            return task_pb2.Empty()
        if len(self._queue) >= self._queue_max:
            self._queue.popleft()
            self.dropped += 1
        self._queue.append(event)
        self._arrived.set()
        return task_pb2.Empty()
