"""A shim's Task service as a Python object: containerd.task.v2.Task, or v3, which says the same.

Nothing of a local time-out goes on the wire unless a call is given `wire_timeout_s`: containerd's
runc shim kills its runc child when a time-out it was sent runs out, and a pause that is killed
half-way leaves a frozen task which the shim calls running. Pause and Resume cannot be given one.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from google.protobuf.any_pb2 import Any as AnyMessage

from shimclient.api import task_pb2
from shimclient.errors import Code, StatusError, TransportLost, Unimplemented
from shimclient.stamps import stamp_ns

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from shimclient.client import Client

CreateRequest = task_pb2.CreateRequest
ReplyT = TypeVar("ReplyT", bound="Message")

#: The service's name by version: shims of containerd 1.x serve v2, those of 2.x v3.
TASK_SERVICES: Final = {2: "containerd.task.v2.Task", 3: "containerd.task.v3.Task"}
_PROCESS_TYPE: Final = "types.containerd.io/opencontainers/runtime-spec/1/Process"
_RUNC_OPTIONS_TYPE: Final = "containerd.runc.v1.Options"


class Status(enum.IntEnum):
    """What a task is doing, in the shim's words; UNKNOWN says nothing about the task."""

    UNKNOWN = 0
    CREATED = 1
    RUNNING = 2
    STOPPED = 3
    PAUSED = 4
    PAUSING = 5


@dataclass(frozen=True, slots=True)
class TaskState:
    """The answer of State; `exited_at_ns` is None while the task has not exited."""

    id: str
    bundle: str
    pid: int
    status: Status
    exit_status: int
    exited_at_ns: int | None
    stdin: str = ""
    stdout: str = ""
    stderr: str = ""
    terminal: bool = False
    exec_id: str = ""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a task or exec ended; `pid` is 0 in an answer of Wait, which does not tell it."""

    pid: int
    exit_status: int
    exited_at_ns: int | None


@dataclass(frozen=True, slots=True)
class ShimInfo:
    """The answer of Connect."""

    shim_pid: int
    task_pid: int
    version: str


@dataclass(frozen=True, slots=True)
class Stats:
    """The answer of Stats, as it travels: the type's name says how to read the value."""

    type_url: str
    value: bytes


def runc_options(options: task_pb2.RuncOptions) -> AnyMessage:
    """Options of a runc shim, packed for CreateRequest.options."""
    return AnyMessage(type_url=_RUNC_OPTIONS_TYPE, value=options.SerializeToString())


class Task:
    """One shim's Task service over one connection; the id names one of the shim's tasks.

    Every method raises ShimError subclasses only. It starts with the version that it is told, and
    asks for the other one where that is not served (code 12); from the first answer on it knows.
    """

    def __init__(self, client: Client, *, version: int = 2) -> None:
        self._client = client
        self._version_known = False
        self.version = version

    async def create(
        self,
        request: CreateRequest,
        *,
        local_timeout_s: float | None,
        wire_timeout_s: float | None = None,
    ) -> int:
        """Make a task of a bundle; its pid."""
        reply = await self._call(
            "Create", request, task_pb2.CreateResponse, local_timeout_s, wire_timeout_s
        )
        return reply.pid

    async def start(
        self,
        task_id: str,
        *,
        exec_id: str = "",
        local_timeout_s: float | None,
        wire_timeout_s: float | None = None,
    ) -> int:
        """Start a created task, or an exec that was added; its pid."""
        request = task_pb2.StartRequest(id=task_id, exec_id=exec_id)
        reply = await self._call(
            "Start", request, task_pb2.StartResponse, local_timeout_s, wire_timeout_s
        )
        return reply.pid

    async def state(
        self,
        task_id: str,
        *,
        exec_id: str = "",
        local_timeout_s: float | None,
        wire_timeout_s: float | None = None,
    ) -> TaskState:
        """What the task is doing. A shim may answer only when a pause or resume has ended."""
        request = task_pb2.StateRequest(id=task_id, exec_id=exec_id)
        reply = await self._call(
            "State", request, task_pb2.StateResponse, local_timeout_s, wire_timeout_s
        )
        return _task_state(reply)

    async def pause(self, task_id: str, *, local_timeout_s: float | None) -> None:
        """Stop a running task. After a time-out the shim goes on, and may end it late."""
        await self._call(
            "Pause", task_pb2.PauseRequest(id=task_id), task_pb2.Empty, local_timeout_s
        )

    async def resume(self, task_id: str, *, local_timeout_s: float | None) -> None:
        """Let a paused task go on. After a time-out the shim goes on, and may end it late."""
        await self._call(
            "Resume", task_pb2.ResumeRequest(id=task_id), task_pb2.Empty, local_timeout_s
        )

    async def kill(
        self,
        task_id: str,
        signal: int,
        *,
        all_: bool = False,
        exec_id: str = "",
        local_timeout_s: float | None,
        wire_timeout_s: float | None = None,
    ) -> None:
        """Send a signal to the task's first process, with `all_` to all; NotFound once exited."""
        request = task_pb2.KillRequest(id=task_id, signal=signal, all=all_, exec_id=exec_id)
        await self._call("Kill", request, task_pb2.Empty, local_timeout_s, wire_timeout_s)

    async def delete(
        self,
        task_id: str,
        *,
        exec_id: str = "",
        local_timeout_s: float | None,
        wire_timeout_s: float | None = None,
    ) -> Exit:
        """Forget a stopped task or exec; how it ended."""
        request = task_pb2.DeleteRequest(id=task_id, exec_id=exec_id)
        reply = await self._call(
            "Delete", request, task_pb2.DeleteResponse, local_timeout_s, wire_timeout_s
        )
        return exit_of(reply)

    async def wait(
        self, task_id: str, *, exec_id: str = "", local_timeout_s: float | None = None
    ) -> Exit:
        """Wait until the task or exec has exited; shims ignore a time-out on the wire here."""
        request = task_pb2.WaitRequest(id=task_id, exec_id=exec_id)
        reply = await self._call("Wait", request, task_pb2.WaitResponse, local_timeout_s)
        return Exit(0, reply.exit_status, stamp_ns(reply.exited_at))

    async def exec(
        self,
        task_id: str,
        exec_id: str,
        process_json: bytes,
        *,
        terminal: bool = False,
        stdio: tuple[str, str, str] = ("", "", ""),
        local_timeout_s: float | None,
        wire_timeout_s: float | None = None,
    ) -> None:
        """Add a process, given as an OCI process in JSON; `start` with the exec id starts it.

        `stdio` are the paths of stdin, stdout and stderr: FIFOs of the caller's, or "" for none.
        """
        stdin, stdout, stderr = stdio
        request = task_pb2.ExecRequest(
            id=task_id,
            exec_id=exec_id,
            terminal=terminal,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            spec=AnyMessage(type_url=_PROCESS_TYPE, value=process_json),
        )
        await self._call("Exec", request, task_pb2.Empty, local_timeout_s, wire_timeout_s)

    async def pids(
        self, task_id: str, *, local_timeout_s: float | None, wire_timeout_s: float | None = None
    ) -> tuple[int, ...]:
        """The host's pids of the task's processes."""
        request = task_pb2.PidsRequest(id=task_id)
        reply = await self._call(
            "Pids", request, task_pb2.PidsResponse, local_timeout_s, wire_timeout_s
        )
        return tuple(process.pid for process in reply.processes)

    async def stats(
        self, task_id: str, *, local_timeout_s: float | None, wire_timeout_s: float | None = None
    ) -> Stats:
        """What the task uses, in a type that depends on the shim."""
        request = task_pb2.StatsRequest(id=task_id)
        reply = await self._call(
            "Stats", request, task_pb2.StatsResponse, local_timeout_s, wire_timeout_s
        )
        return Stats(reply.stats.type_url.rpartition("/")[2], reply.stats.value)

    async def connect(
        self, task_id: str, *, local_timeout_s: float | None, wire_timeout_s: float | None = None
    ) -> ShimInfo:
        """The pids of the shim and of the task."""
        request = task_pb2.ConnectRequest(id=task_id)
        reply = await self._call(
            "Connect", request, task_pb2.ConnectResponse, local_timeout_s, wire_timeout_s
        )
        return ShimInfo(reply.shim_pid, reply.task_pid, reply.version)

    async def checkpoint(
        self,
        task_id: str,
        path: str,
        *,
        options: AnyMessage | None = None,
        local_timeout_s: float | None,
        wire_timeout_s: float | None = None,
    ) -> None:
        """Write a checkpoint of the task to a path of the shim's host."""
        request = task_pb2.CheckpointRequest(id=task_id, path=path, options=options)
        await self._call("Checkpoint", request, task_pb2.Empty, local_timeout_s, wire_timeout_s)

    async def update(
        self,
        task_id: str,
        *,
        resources: AnyMessage | None = None,
        annotations: dict[str, str] | None = None,
        local_timeout_s: float | None,
        wire_timeout_s: float | None = None,
    ) -> None:
        """Change the task's limits, or hand the shim annotations."""
        request = task_pb2.UpdateRequest(id=task_id, resources=resources, annotations=annotations)
        await self._call("Update", request, task_pb2.Empty, local_timeout_s, wire_timeout_s)

    async def resize_pty(
        self,
        task_id: str,
        *,
        width: int,
        height: int,
        exec_id: str = "",
        local_timeout_s: float | None,
        wire_timeout_s: float | None = None,
    ) -> None:
        """Set the size of the task's terminal, in characters."""
        request = task_pb2.ResizePtyRequest(id=task_id, exec_id=exec_id, width=width, height=height)
        await self._call("ResizePty", request, task_pb2.Empty, local_timeout_s, wire_timeout_s)

    async def close_io(
        self,
        task_id: str,
        *,
        exec_id: str = "",
        local_timeout_s: float | None,
        wire_timeout_s: float | None = None,
    ) -> None:
        """Close the task's standard input."""
        request = task_pb2.CloseIORequest(id=task_id, exec_id=exec_id, stdin=True)
        await self._call("CloseIO", request, task_pb2.Empty, local_timeout_s, wire_timeout_s)

    async def shutdown(
        self, task_id: str, *, now: bool = False, local_timeout_s: float | None
    ) -> None:
        """End the shim, if no task is left in it. A lost connection is the same as the answer."""
        request = task_pb2.ShutdownRequest(id=task_id, now=now)
        try:
            await self._call("Shutdown", request, task_pb2.Empty, local_timeout_s)
        except TransportLost:
            return

    async def _call(
        self,
        method: str,
        request: Message,
        reply_type: type[ReplyT],
        local_timeout_s: float | None,
        wire_timeout_s: float | None = None,
    ) -> ReplyT:
        """Call by the known version, or find it out: code 12 from the first asks the other."""
        unserved: Unimplemented | None = None
        for version in self._versions():
            try:
                reply = await self._client.call(
                    TASK_SERVICES[version],
                    method,
                    request,
                    reply_type,
                    local_timeout_s=local_timeout_s,
                    wire_timeout_s=wire_timeout_s,
                )
            except Unimplemented as error:
                unserved = unserved or error
                continue
            except StatusError:
                self._remember(version)
                raise
            self._remember(version)
            return reply
        raise unserved or Unimplemented(Code.UNIMPLEMENTED, f"method {method}")

    def _versions(self) -> tuple[int, ...]:
        """The versions to ask in turn: one where it is known what the shim serves."""
        others = () if self._version_known else tuple(v for v in TASK_SERVICES if v != self.version)
        return (self.version, *others)

    def _remember(self, version: int) -> None:
        self.version = version
        self._version_known = True


def exit_of(reply: task_pb2.DeleteResponse) -> Exit:
    """A DeleteResponse as a value; it is also what a shim binary's ``delete`` prints."""
    return Exit(reply.pid, reply.exit_status, stamp_ns(reply.exited_at))


def _task_state(reply: task_pb2.StateResponse) -> TaskState:
    return TaskState(
        id=reply.id,
        bundle=reply.bundle,
        pid=reply.pid,
        status=_status(reply.status),
        exit_status=reply.exit_status,
        exited_at_ns=stamp_ns(reply.exited_at),
        stdin=reply.stdin,
        stdout=reply.stdout,
        stderr=reply.stderr,
        terminal=reply.terminal,
        exec_id=reply.exec_id,
    )


def _status(value: int) -> Status:
    """A status that we do not know says as little as UNKNOWN does."""
    try:
        return Status(value)
    except ValueError:
        return Status.UNKNOWN
