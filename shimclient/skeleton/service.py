"""The Task service that a shim fills in: every method, its request and its answer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shimclient.api import task_pb2
from shimclient.errors import Code, StatusError
from shimclient.server import Method
from shimclient.task import TASK_SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from google.protobuf.message import Message

    from shimclient.server import CallContext
    from shimclient.skeleton.reaper import Reaper
    from shimclient.skeleton.statefile import StateFile

Services = dict[str, dict[str, Method]]


@dataclass(frozen=True, slots=True)
class ShimContext:
    """What a shim's server process gives its service."""

    namespace: str
    id: str
    bundle: Path
    debug: bool
    #: Sends a task event (a message of shimclient.api.events_pb2) without waiting for it.
    publish: Callable[[Message], None]
    reaper: Reaper
    state: StateFile
    #: Ends the process, after the calls in flight were answered.
    stop: Callable[[], None]
    #: Wall-clock nanoseconds since 1970, for stamps only.
    wall_ns: Callable[[], int] = time.time_ns


class TaskService:
    """Base of a shim's service: override what the shim can do, the rest answers code 12.

    A handler answers an error by raising StatusError (wrong state: code 2, unknown id: code 5, as
    containerd's shims do). Handlers of one connection run side by side: order is the shim's work.
    """

    def __init__(self, context: ShimContext) -> None:
        self.context = context

    async def begin(self) -> None:
        """Take up what the state file says, before the first call is served."""

    async def end(self) -> None:
        """Let go of everything, after the last call was answered."""

    def has_tasks(self) -> bool:
        """Whether a task exists that keeps Shutdown from ending the process."""
        return False

    def more_services(self) -> Services:
        """Other services that this shim serves at the same socket."""
        return {}

    async def create(
        self, request: task_pb2.CreateRequest, call: CallContext
    ) -> task_pb2.CreateResponse:
        """Make a task of a bundle, not started; its pid, which under containerd must be alive."""
        raise _unserved(request, call)

    async def start(
        self, request: task_pb2.StartRequest, call: CallContext
    ) -> task_pb2.StartResponse:
        """Start a created task, or an exec that was added; its pid."""
        raise _unserved(request, call)

    async def state(
        self, request: task_pb2.StateRequest, call: CallContext
    ) -> task_pb2.StateResponse:
        """What the task (or exec) is doing; exited_at is the year 1 until it has exited."""
        raise _unserved(request, call)

    async def pause(self, request: task_pb2.PauseRequest, call: CallContext) -> task_pb2.Empty:
        """Stop a running task; answered when it stands still."""
        raise _unserved(request, call)

    async def resume(self, request: task_pb2.ResumeRequest, call: CallContext) -> task_pb2.Empty:
        """Let a paused task go on."""
        raise _unserved(request, call)

    async def kill(self, request: task_pb2.KillRequest, call: CallContext) -> task_pb2.Empty:
        """Send a signal; with `all` to every process of the task."""
        raise _unserved(request, call)

    async def delete(
        self, request: task_pb2.DeleteRequest, call: CallContext
    ) -> task_pb2.DeleteResponse:
        """Forget a stopped task or exec; how it ended."""
        raise _unserved(request, call)

    async def exec(self, request: task_pb2.ExecRequest, call: CallContext) -> task_pb2.Empty:
        """Add a process to a running task; Start with its exec_id starts it."""
        raise _unserved(request, call)

    async def wait(self, request: task_pb2.WaitRequest, call: CallContext) -> task_pb2.WaitResponse:
        """Answered when the task (or exec) has exited."""
        raise _unserved(request, call)

    async def pids(self, request: task_pb2.PidsRequest, call: CallContext) -> task_pb2.PidsResponse:
        """The processes of the task."""
        raise _unserved(request, call)

    async def stats(
        self, request: task_pb2.StatsRequest, call: CallContext
    ) -> task_pb2.StatsResponse:
        """What the task uses."""
        raise _unserved(request, call)

    async def connect(
        self, request: task_pb2.ConnectRequest, call: CallContext
    ) -> task_pb2.ConnectResponse:
        """The pids of the shim and of the task."""
        raise _unserved(request, call)

    async def checkpoint(
        self, request: task_pb2.CheckpointRequest, call: CallContext
    ) -> task_pb2.Empty:
        """Write a checkpoint of the task."""
        raise _unserved(request, call)

    async def update(self, request: task_pb2.UpdateRequest, call: CallContext) -> task_pb2.Empty:
        """Change the task's limits or annotations."""
        raise _unserved(request, call)

    async def resize_pty(
        self, request: task_pb2.ResizePtyRequest, call: CallContext
    ) -> task_pb2.Empty:
        """Set the size of the task's terminal."""
        raise _unserved(request, call)

    async def close_io(self, request: task_pb2.CloseIORequest, call: CallContext) -> task_pb2.Empty:
        """Close the task's standard input."""
        raise _unserved(request, call)

    async def shutdown(
        self, request: task_pb2.ShutdownRequest, call: CallContext
    ) -> task_pb2.Empty:
        """End the process where no task is left; nothing happens where one is, `now` or not."""
        del request, call
        if not self.has_tasks():
            self.context.stop()
        return task_pb2.Empty()


_REQUESTS: Final[Mapping[str, type[Message]]] = {
    "Create": task_pb2.CreateRequest,
    "Start": task_pb2.StartRequest,
    "State": task_pb2.StateRequest,
    "Pause": task_pb2.PauseRequest,
    "Resume": task_pb2.ResumeRequest,
    "Kill": task_pb2.KillRequest,
    "Delete": task_pb2.DeleteRequest,
    "Exec": task_pb2.ExecRequest,
    "Wait": task_pb2.WaitRequest,
    "Pids": task_pb2.PidsRequest,
    "Stats": task_pb2.StatsRequest,
    "Connect": task_pb2.ConnectRequest,
    "Checkpoint": task_pb2.CheckpointRequest,
    "Update": task_pb2.UpdateRequest,
    "ResizePty": task_pb2.ResizePtyRequest,
    "CloseIO": task_pb2.CloseIORequest,
    "Shutdown": task_pb2.ShutdownRequest,
}
#: Method names of the wire whose handlers are not simply their lower-case form.
_HANDLERS: Final = {"ResizePty": "resize_pty", "CloseIO": "close_io"}


def services_of(service: TaskService) -> Services:
    """The tables for a Server: the task service under both its names, and the shim's own ones."""
    methods = {
        name: Method(request, getattr(service, _HANDLERS.get(name, name.lower())))
        for name, request in _REQUESTS.items()
    }
    return {**dict.fromkeys(TASK_SERVICES.values(), methods), **service.more_services()}


def _unserved(request: Message, call: CallContext) -> StatusError:
    return StatusError(
        Code.UNIMPLEMENTED, f"method {call.method} is not served ({request.DESCRIPTOR.name})"
    )
