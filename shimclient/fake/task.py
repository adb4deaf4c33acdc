"""One task of a fake shim: its VM, its pid, and how both are written down and taken up again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from shimclient.api import task_pb2
from shimclient.fake.bodies import Body, ChildBody, adopt, pretend
from shimclient.fake.memory import Image, Memory
from shimclient.fake.vm import Vm
from shimclient.skeleton.reaper import Reaper
from shimclient.stamps import set_stamp
from shimclient.task import Exit, Status

_STDIO = ("bundle", "terminal", "stdin", "stdout", "stderr")


class FakeTask:
    """What a shim knows of one task. `stopped` is set when it has exited."""

    def __init__(
        self,
        request: task_pb2.CreateRequest,
        *,
        write_every_ms: int,
        image: Image | None = None,
    ) -> None:
        """Take the request; the body comes after, as its end must find the task."""
        self.request = request
        clock = asyncio.get_running_loop().time
        self.vm = Vm(request.id, clock=clock, write_every_ms=write_every_ms, image=image)
        self.body: Body | None = None
        self.pid = 0
        self.stopped = asyncio.Event()

    def give_body(self, reaper: Reaper | None, ended: Callable[[FakeTask, int], None]) -> None:
        """A process of its own, or a pretended pid where there is no reaper."""
        self.body = (
            pretend()
            if reaper is None
            else ChildBody(reaper, lambda exit_status: ended(self, exit_status))
        )
        self.pid = self.body.pid

    def end_body(self) -> None:
        """End its process, if it has one."""
        if self.body is not None:
            self.body.end()

    def state(self, lie: Status | None) -> task_pb2.StateResponse:
        """The answer of State, with the true status or a false one."""
        reply = task_pb2.StateResponse(
            id=self.vm.id,
            pid=self.pid,
            status=task_pb2.Status.ValueType(self.vm.status if lie is None else lie),
            exit_status=self.vm.exited.exit_status if self.vm.exited else 0,
            **{name: getattr(self.request, name) for name in _STDIO},
        )
        set_stamp(reply.exited_at, self.vm.exited.exited_at_ns if self.vm.exited else None)
        return reply

    def wait_response(self) -> task_pb2.WaitResponse:
        """The answer of Wait, once it has exited."""
        ended = self.vm.exited or Exit(self.pid, 0, None)
        reply = task_pb2.WaitResponse(exit_status=ended.exit_status)
        set_stamp(reply.exited_at, ended.exited_at_ns)
        return reply

    def truth(self) -> dict[str, Any]:
        """What a test may see past the Task service."""
        return {
            "status": self.vm.status.name,
            "generation": self.vm.generation,
            "ticks": self.vm.ticks,
            "pid": self.pid,
        }


def saved_task(task: FakeTask) -> dict[str, Any]:
    """The task for the state file."""
    ended = task.vm.exited
    return {
        **task.truth(),
        "memory": task.vm.memory.saved(),
        "id": task.vm.id,
        "started_ticks": task.body.started_ticks if task.body else 0,
        "exit": [ended.pid, ended.exit_status, ended.exited_at_ns] if ended else None,
        **{name: getattr(task.request, name) for name in _STDIO},
    }


def restore_tasks(
    state: dict[str, Any] | None,
    ended: Callable[[FakeTask, int], None],
    *,
    write_every_ms: int,
) -> dict[str, FakeTask]:
    """The tasks of a state file; one whose process is gone has no body."""
    tasks = (state or {}).get("tasks", [])
    return {saved["id"]: _restored(saved, ended, write_every_ms) for saved in tasks}


def _restored(
    saved: dict[str, Any], ended: Callable[[FakeTask, int], None], write_every_ms: int
) -> FakeTask:
    request = task_pb2.CreateRequest(id=saved["id"], **{name: saved[name] for name in _STDIO})
    task = FakeTask(request, write_every_ms=write_every_ms)
    task.pid = saved["pid"]
    status = Status[saved["status"]]
    memory = Memory.from_saved(saved["memory"])
    task.vm.take_up(status=status, ticks=saved["ticks"], memory=memory)
    if saved["exit"] is not None:
        task.vm.exited = Exit(*saved["exit"])
        task.stopped.set()
        return task
    task.body = adopt(
        task.pid, saved["started_ticks"], lambda exit_status: ended(task, exit_status)
    )
    return task
