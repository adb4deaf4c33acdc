"""The fake shim's Task service: simulated VMs, served with the faults that a script asks for."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, TypeVar

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message

from shimclient.api import events_pb2, task_pb2
from shimclient.errors import Code, NotFound, StatusError
from shimclient.events import topic_of
from shimclient.fake.actions import Lie
from shimclient.fake.control import control_services
from shimclient.fake.gate import EventGate
from shimclient.fake.operation import Operation
from shimclient.fake.orders import (
    checkpoint_order,
    first_image,
    image_in,
    is_rollback,
    rollback_folder,
)
from shimclient.fake.points import LivePoints
from shimclient.fake.protocol import STATS_TYPE
from shimclient.fake.script import Script, load_script
from shimclient.fake.task import FakeTask, restore_tasks, saved_task
from shimclient.fake.vm import signal_status
from shimclient.server import CallContext
from shimclient.skeleton.service import Services, ShimContext, TaskService
from shimclient.stamps import set_stamp
from shimclient.task import Status

T = TypeVar("T")

_CRASH_EXIT_STATUS: Final = 70
_KILLED: Final = signal_status(9)


def _crash() -> None:
    os._exit(_CRASH_EXIT_STATUS)


class FakeService(TaskService):
    """All tasks of one fake shim process. Time is the running loop's, virtual or not."""

    def __init__(
        self,
        context: ShimContext,
        *,
        script: Script | None = None,
        crash: Callable[[], None] = _crash,
    ) -> None:
        """Read the script where none is given: raises ScriptError."""
        super().__init__(context)
        self.script = load_script(context.bundle, os.environ) if script is None else script
        self.points = LivePoints(self.script.failpoints)
        self.times_ms = dict(self.script.times_ms)
        self.tasks: dict[str, FakeTask] = {}
        self.gate = EventGate(context.publish, self.points)
        self._crash = crash

    async def begin(self) -> None:
        """Go on with the tasks that an earlier process of this shim has written down."""
        self.tasks = restore_tasks(
            self.context.state.load(), self._ended, write_every_ms=self.script.write_every_ms
        )
        for task in self.tasks.values():
            if task.body is None:
                self._ended(task, 255)

    async def end(self) -> None:
        """End the processes of the tasks: nobody would look after them."""
        self.gate.close()
        for task in self.tasks.values():
            task.end_body()

    def has_tasks(self) -> bool:
        """Whether any task is not deleted."""
        return bool(self.tasks)

    def more_services(self) -> Services:
        """The control service."""
        return control_services(self)

    def task(self, task_id: str, exec_id: str = "") -> FakeTask:
        """The task of that id; raises NotFound. There are no execs in a fake."""
        task = self.tasks.get(task_id)
        if task is None or exec_id:
            raise NotFound(Code.NOT_FOUND, f"no such task or exec: {exec_id or task_id}")
        return task

    async def create(
        self, request: task_pb2.CreateRequest, call: CallContext
    ) -> task_pb2.CreateResponse:
        """A VM, not started, empty or from a snapshot; an id that is taken is refused."""

        def effect() -> task_pb2.CreateResponse:
            if request.id in self.tasks:
                raise StatusError(Code.ALREADY_EXISTS, f"task {request.id} exists")
            image = first_image(Path(request.bundle))
            task = FakeTask(request, write_every_ms=self.script.write_every_ms, image=image)
            task.give_body(self.context.reaper if self.script.processes else None, self._ended)
            self.tasks[request.id] = task
            self._happened(
                events_pb2.TaskCreate(container_id=request.id, bundle=request.bundle, pid=task.pid)
            )
            return task_pb2.CreateResponse(pid=task.pid)

        return await self._run(call, contextlib.nullcontext(), effect)

    async def start(
        self, request: task_pb2.StartRequest, call: CallContext
    ) -> task_pb2.StartResponse:
        """CREATED to RUNNING."""
        task = self.task(request.id, request.exec_id)

        def effect() -> task_pb2.StartResponse:
            task.vm.start()
            self._happened(events_pb2.TaskStart(container_id=request.id, pid=task.pid))
            return task_pb2.StartResponse(pid=task.pid)

        check = task.vm.allows("start", Status.CREATED)
        return await self._run(call, task.vm.mutex, effect, check=check)

    async def state(
        self, request: task_pb2.StateRequest, call: CallContext
    ) -> task_pb2.StateResponse:
        """What State says, true or a lie; waits for the operation that runs."""
        task = self.task(request.id, request.exec_id)
        operation = self._operation(call)
        lie = operation.action.status if isinstance(operation.action, Lie) else None
        return await operation.run(task.vm.mutex, lambda: task.state(lie))

    async def pause(self, request: task_pb2.PauseRequest, call: CallContext) -> task_pb2.Empty:
        """RUNNING to PAUSED."""
        task = self.task(request.id)

        def effect() -> task_pb2.Empty:
            task.vm.pause()
            self._happened(events_pb2.TaskPaused(container_id=request.id))
            return task_pb2.Empty()

        check = task.vm.allows("pause", Status.RUNNING)
        return await self._run(call, task.vm.mutex, effect, check=check)

    async def resume(self, request: task_pb2.ResumeRequest, call: CallContext) -> task_pb2.Empty:
        """PAUSED to RUNNING, as the next generation; a signal that waited is delivered."""
        task = self.task(request.id)

        def effect() -> task_pb2.Empty:
            waiting = task.vm.resume()
            self._happened(events_pb2.TaskResumed(container_id=request.id))
            if waiting:
                self._ended(task, signal_status(waiting))
            return task_pb2.Empty()

        check = task.vm.allows("resume", Status.PAUSED)
        return await self._run(call, task.vm.mutex, effect, check=check)

    async def kill(self, request: task_pb2.KillRequest, call: CallContext) -> task_pb2.Empty:
        """End the VM, if the signal does."""
        task = self.task(request.id, request.exec_id)

        def effect() -> task_pb2.Empty:
            if task.vm.deadly(request.signal):
                self._ended(task, signal_status(request.signal))
            return task_pb2.Empty()

        return await self._run(call, task.vm.mutex, effect)

    async def delete(
        self, request: task_pb2.DeleteRequest, call: CallContext
    ) -> task_pb2.DeleteResponse:
        """Forget a task that has stopped or was never started."""
        task = self.task(request.id, request.exec_id)
        check = task.vm.allows("delete", Status.STOPPED, Status.CREATED)

        def effect() -> task_pb2.DeleteResponse:
            check()
            ended = task.vm.stop(_KILLED, pid=task.pid, at_ns=self.context.wall_ns())
            task.end_body()
            task.stopped.set()
            self.tasks.pop(request.id, None)
            reply = task_pb2.DeleteResponse(pid=ended.pid, exit_status=ended.exit_status)
            set_stamp(reply.exited_at, ended.exited_at_ns)
            event = events_pb2.TaskDelete(
                container_id=request.id, pid=ended.pid, exit_status=ended.exit_status, id=request.id
            )
            set_stamp(event.exited_at, ended.exited_at_ns)
            self._happened(event)
            return reply

        return await self._run(call, task.vm.mutex, effect, check=check)

    async def wait(self, request: task_pb2.WaitRequest, call: CallContext) -> task_pb2.WaitResponse:
        """Answered when the task has stopped, also where it was deleted meanwhile."""
        task = self.task(request.id, request.exec_id)
        await task.stopped.wait()
        return await self._run(call, contextlib.nullcontext(), task.wait_response)

    async def pids(self, request: task_pb2.PidsRequest, call: CallContext) -> task_pb2.PidsResponse:
        """The one pid there is."""
        task = self.task(request.id)
        reply = task_pb2.PidsResponse(processes=[task_pb2.ProcessInfo(pid=task.pid)])
        return await self._run(call, contextlib.nullcontext(), lambda: reply)

    async def stats(
        self, request: task_pb2.StatsRequest, call: CallContext
    ) -> task_pb2.StatsResponse:
        """What the VM really does, in JSON; never waits for an operation."""
        task = self.task(request.id)

        def effect() -> task_pb2.StatsResponse:
            value = json.dumps(task.truth()).encode()
            return task_pb2.StatsResponse(stats=AnyMessage(type_url=STATS_TYPE, value=value))

        return await self._run(call, contextlib.nullcontext(), effect)

    async def connect(
        self, request: task_pb2.ConnectRequest, call: CallContext
    ) -> task_pb2.ConnectResponse:
        """The pids; the version says that this is a fake."""
        task = self.task(request.id)
        reply = task_pb2.ConnectResponse(shim_pid=os.getpid(), task_pid=task.pid, version="fake")
        return await self._run(call, contextlib.nullcontext(), lambda: reply)

    async def checkpoint(
        self, request: task_pb2.CheckpointRequest, call: CallContext
    ) -> task_pb2.Empty:
        """Write an image of a running VM's memory into a folder; it runs on."""
        task = self.task(request.id)
        order = checkpoint_order(request)

        def effect() -> task_pb2.Empty:
            order.carry_out(task.vm)
            event = events_pb2.TaskCheckpointed(
                container_id=request.id, checkpoint=str(order.folder)
            )
            self._happened(event)
            return task_pb2.Empty()

        return await self._run(call, task.vm.mutex, effect, check=lambda: order.check(task.vm))

    async def update(self, request: task_pb2.UpdateRequest, call: CallContext) -> task_pb2.Empty:
        """Put a running VM's memory back to a snapshot; no other update is served."""
        if not is_rollback(request):
            return await super().update(request, call)
        task = self.task(request.id)
        folder = rollback_folder(request)

        def effect() -> task_pb2.Empty:
            task.vm.rollback(image_in(folder))
            self._save()
            return task_pb2.Empty()

        check = task.vm.allows("roll back", Status.RUNNING)
        return await self._run(call, task.vm.mutex, effect, check=check)

    async def shutdown(
        self, request: task_pb2.ShutdownRequest, call: CallContext
    ) -> task_pb2.Empty:
        """End the process where no task is left."""
        await self._run(call, contextlib.nullcontext(), lambda: None)
        return await super().shutdown(request, call)

    async def _run(
        self,
        call: CallContext,
        holding: AbstractAsyncContextManager[object],
        effect: Callable[[], T],
        *,
        check: Callable[[], object] | None = None,
    ) -> T:
        return await self._operation(call).run(holding, effect, check=check)

    def _operation(self, call: CallContext) -> Operation:
        """The next step of the method's failpoint, and the time that the method takes."""
        point = call.method.lower()
        takes_s = self.times_ms.get(point, 0) / 1000
        return Operation(self.points.next(point), takes_s, self._crash)

    def _ended(self, task: FakeTask, exit_status: int) -> None:
        """The VM is over, by a signal or with its process; told once."""
        if task.vm.exited is not None:
            return
        ended = task.vm.stop(exit_status, pid=task.pid, at_ns=self.context.wall_ns())
        task.end_body()
        task.stopped.set()
        event = events_pb2.TaskExit(
            container_id=task.vm.id, id=task.vm.id, pid=ended.pid, exit_status=ended.exit_status
        )
        set_stamp(event.exited_at, ended.exited_at_ns)
        self._happened(event)

    def _happened(self, event: Message) -> None:
        """Write the tasks down, and then tell the world."""
        self._save()
        if topic_of(event) not in self.script.silent_topics:
            self.gate.publish(event)

    def _save(self) -> None:
        """Write the tasks down."""
        self.context.state.save({"tasks": [saved_task(task) for task in self.tasks.values()]})
