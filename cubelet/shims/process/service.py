"""The Task service: requests in, the one task's answers and events out."""

from __future__ import annotations

import logging
import os
import re
import secrets
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cubelet.shims.process.bundle import Spec, load_spec
from cubelet.shims.process.cgroups import remove_group
from cubelet.shims.process.cleanup import end_recorded
from cubelet.shims.process.errors import BundleError, CgroupBusy
from cubelet.shims.process.freezer import choose
from cubelet.shims.process.identity import boot_id, identify
from cubelet.shims.process.limits import apply_limits
from cubelet.shims.process.record import Record
from cubelet.shims.process.sandbox import Parts, Sandbox
from cubelet.shims.process.spawn import hold
from cubelet.shims.process.stdio import open_stdio
from cubelet.shims.process.tree import walk
from shimclient.api import events_pb2, task_pb2
from shimclient.errors import Code, StatusError
from shimclient.skeleton.service import ShimContext, TaskService
from shimclient.stamps import set_stamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cubelet.shims.process.spawn import Held
    from shimclient.server import CallContext
    from shimclient.task import Exit

#: What Connect says: the version of containerd's shim API that we serve.
_VERSION: Final = "2"
_MARK_BYTES: Final = 6
#: containerd's grammar of namespaces and ids (pkg/identifiers); ours become folder names.
_NAME: Final = re.compile(r"[A-Za-z0-9]+([._-][A-Za-z0-9]+)*")
_NAME_CHARS_MAX: Final = 76
_log = logging.getLogger(__name__)


class ProcessService(TaskService):
    """One shim, one task; a second Create is refused with code 6."""

    def __init__(self, context: ShimContext) -> None:
        super().__init__(context)
        self._sandbox: Sandbox | None = None
        self._creating = False
        self._request = task_pb2.CreateRequest()

    async def begin(self) -> None:
        """End what an earlier shim of this bundle left; its tree is lost with it."""
        await end_recorded(self.context.state)

    async def end(self) -> None:
        """Take the tree along."""
        if self._sandbox is not None:
            await self._sandbox.destroy()
            self.context.state.remove()

    def has_tasks(self) -> bool:
        """Whether the task was not deleted yet."""
        return self._sandbox is not None or self._creating

    async def create(
        self, request: task_pb2.CreateRequest, call: CallContext
    ) -> task_pb2.CreateResponse:
        """Read the bundle and hold its process; refuse (code 3) what cannot be done here."""
        del call
        if self.has_tasks():
            raise StatusError(Code.ALREADY_EXISTS, f"this shim has task {self._request.id!r}")
        self._creating = True
        try:
            _refuse_extras(request, self.context.namespace)
            sandbox = await self._make(request)
        except BundleError as error:
            raise StatusError(Code.INVALID_ARGUMENT, str(error)) from error
        except CgroupBusy as error:
            raise StatusError(Code.ALREADY_EXISTS, str(error)) from error
        finally:
            self._creating = False
        self._sandbox, self._request = sandbox, request
        io = events_pb2.TaskIO(stdin=request.stdin, stdout=request.stdout, stderr=request.stderr)
        self.context.publish(
            events_pb2.TaskCreate(
                container_id=request.id, bundle=request.bundle, io=io, pid=sandbox.pid
            )
        )
        return task_pb2.CreateResponse(pid=sandbox.pid)

    async def start(
        self, request: task_pb2.StartRequest, call: CallContext
    ) -> task_pb2.StartResponse:
        """Let the process execute its program."""
        del call
        sandbox = self._find(request.id, request.exec_id)
        event = events_pb2.TaskStart(container_id=request.id, pid=sandbox.pid)
        await sandbox.start(lambda: self.context.publish(event))
        return task_pb2.StartResponse(pid=sandbox.pid)

    async def state(
        self, request: task_pb2.StateRequest, call: CallContext
    ) -> task_pb2.StateResponse:
        """What is known, after what is going on."""
        del call
        sandbox = self._find(request.id, request.exec_id)
        status = await sandbox.settled()
        created = self._request
        reply = task_pb2.StateResponse(
            id=request.id,
            bundle=created.bundle,
            pid=sandbox.pid,
            status=task_pb2.Status.ValueType(status),
            stdin=created.stdin,
            stdout=created.stdout,
            stderr=created.stderr,
            exit_status=sandbox.exit.exit_status if sandbox.exit else 0,
        )
        set_stamp(reply.exited_at, sandbox.exit.exited_at_ns if sandbox.exit else None)
        return reply

    async def pause(self, request: task_pb2.PauseRequest, call: CallContext) -> task_pb2.Empty:
        """Answered when every process provably stands still."""
        del call
        event = events_pb2.TaskPaused(container_id=request.id)
        await self._find(request.id).pause(lambda: self.context.publish(event))
        return task_pb2.Empty()

    async def resume(self, request: task_pb2.ResumeRequest, call: CallContext) -> task_pb2.Empty:
        """Let all go on."""
        del call
        event = events_pb2.TaskResumed(container_id=request.id)
        await self._find(request.id).resume(lambda: self.context.publish(event))
        return task_pb2.Empty()

    async def kill(self, request: task_pb2.KillRequest, call: CallContext) -> task_pb2.Empty:
        """Send a signal."""
        del call
        sandbox = self._find(request.id, request.exec_id)
        await sandbox.kill(request.signal, everyone=request.all)
        return task_pb2.Empty()

    async def delete(
        self, request: task_pb2.DeleteRequest, call: CallContext
    ) -> task_pb2.DeleteResponse:
        """Remove the cgroup and the record, and forget the task."""
        del call
        sandbox = self._find(request.id, request.exec_id)
        ended = await sandbox.delete()
        if self._sandbox is not sandbox:  # Another Delete was faster.
            raise _unknown(request.id)
        self._sandbox = None
        self.context.state.remove()
        event = events_pb2.TaskDelete(
            container_id=request.id, pid=ended.pid, exit_status=ended.exit_status
        )
        reply = task_pb2.DeleteResponse(pid=ended.pid, exit_status=ended.exit_status)
        set_stamp(event.exited_at, ended.exited_at_ns)
        set_stamp(reply.exited_at, ended.exited_at_ns)
        self.context.publish(event)
        return reply

    async def wait(self, request: task_pb2.WaitRequest, call: CallContext) -> task_pb2.WaitResponse:
        """Answered when the whole tree has ended."""
        del call
        ended = await self._find(request.id, request.exec_id).wait()
        reply = task_pb2.WaitResponse(exit_status=ended.exit_status)
        set_stamp(reply.exited_at, ended.exited_at_ns)
        return reply

    async def pids(self, request: task_pb2.PidsRequest, call: CallContext) -> task_pb2.PidsResponse:
        """All living processes of the tree."""
        del call
        found = [task_pb2.ProcessInfo(pid=pid) for pid in self._find(request.id).pids()]
        return task_pb2.PidsResponse(processes=found)

    async def connect(
        self, request: task_pb2.ConnectRequest, call: CallContext
    ) -> task_pb2.ConnectResponse:
        """Who we are."""
        del call
        pid = self._find(request.id).pid
        return task_pb2.ConnectResponse(shim_pid=os.getpid(), task_pid=pid, version=_VERSION)

    async def close_io(self, request: task_pb2.CloseIORequest, call: CallContext) -> task_pb2.Empty:
        """Let the process see the end of its input."""
        del call
        sandbox = self._find(request.id, request.exec_id)
        if request.stdin:
            sandbox.close_stdin()
        return task_pb2.Empty()

    def _find(self, task_id: str, exec_id: str = "") -> Sandbox:
        if self._sandbox is None or task_id != self._request.id or exec_id:
            raise _unknown(f"{task_id}/{exec_id}" if exec_id else task_id)
        return self._sandbox

    async def _make(self, request: task_pb2.CreateRequest) -> Sandbox:
        spec = load_spec(Path(request.bundle))
        _log_what_is_ignored(spec)
        name = f"{self.context.namespace}.{request.id}"
        mark = f"CUBELET_SANDBOX_{secrets.token_hex(_MARK_BYTES)}={name}"
        with open_stdio(stdin=request.stdin, stdout=request.stdout, stderr=request.stderr) as stdio:
            held = hold(self.context.reaper, spec, stdio, mark=mark)
            pid = held.identity.pid
            async with AsyncExitStack() as undo:
                groups: list[Path] = []
                undo.push_async_callback(_remove_groups, groups)  # After the process has gone.
                undo.push_async_callback(held.abandon)
                freezer = await choose(spec.freezer, name=name, pid=pid, root=os.getpid())
                groups.extend(freezer.groups)
                limit_groups = apply_limits(spec.limits, name=name, pid=pid)
                groups.extend(limit_groups)
                self.context.state.save(_record_of(held, mark, groups).to_json())
                undo.pop_all()
        parts = Parts(held, freezer, limit_groups, stdio.keeper)
        return Sandbox(
            parts,
            look_at_tree=lambda: walk(os.getpid()),
            wall_ns=self.context.wall_ns,
            exited=lambda ended: self._publish_exit(request.id, ended),
        )

    def _publish_exit(self, task_id: str, ended: Exit) -> None:
        event = events_pb2.TaskExit(
            container_id=task_id, id=task_id, pid=ended.pid, exit_status=ended.exit_status
        )
        set_stamp(event.exited_at, ended.exited_at_ns)
        self.context.publish(event)


def _record_of(held: Held, mark: str, groups: Iterable[Path]) -> Record:
    shim = identify(os.getpid())
    assert shim is not None, "we live"  # noqa: S101
    return Record(boot_id(), shim, held.identity, mark, tuple(sorted(set(groups))))


async def _remove_groups(groups: Iterable[Path]) -> None:
    for group in groups:
        await remove_group(group)


def _refuse_extras(request: task_pb2.CreateRequest, namespace: str) -> None:
    """What a Create may ask for and this runtime has not is refused, never ignored."""
    for name in (namespace, request.id):
        if len(name) > _NAME_CHARS_MAX or not _NAME.fullmatch(name):
            raise BundleError(f"{name!r} is no id: letters and digits, joined by single . _ or -")
    for asked, what in (
        (request.terminal, "a terminal"),
        (request.rootfs, "mounts for the root file system; prepare root.path instead"),
        (request.checkpoint, "a checkpoint to restore"),
    ):
        if asked:
            raise BundleError(f"the process runtime does not take {what}")


def _log_what_is_ignored(spec: Spec) -> None:
    if spec.root is None:
        _log.info("the sandbox sees the host's own files")
    if os.geteuid() != 0 and spec.user.uid != os.geteuid():
        _log.info("the sandbox runs as user %d: only root can choose another", os.geteuid())


def _unknown(name: str) -> StatusError:
    return StatusError(Code.NOT_FOUND, f"no task {name!r} in this shim")
