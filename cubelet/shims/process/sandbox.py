"""One task: a tree of processes, and what may be done to it when. Its status comes from facts."""

from __future__ import annotations

import asyncio
import logging
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cubelet.shims.process.cgroups import remove_group
from cubelet.shims.process.errors import FreezeFailed, LaunchFailed, StillAlive
from cubelet.shims.process.killing import kill_until_none, signal_if_allowed
from cubelet.shims.process.tree import Walk, look
from shimclient.errors import Code, StatusError
from shimclient.task import Exit, Status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from cubelet.shims.process.freezer import Freezer
    from cubelet.shims.process.identity import Identity
    from cubelet.shims.process.spawn import Held
    from cubelet.shims.process.stdio import StdinKeeper

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a created task is made of."""

    held: Held
    freezer: Freezer
    #: Groups that only limit; the freezer has its own.
    limit_groups: tuple[Path, ...]
    keeper: StdinKeeper


class Sandbox:
    """The task of this shim. All that changes it, and `settled`, waits for one lock.

    Methods raise StatusError: code 2 for the wrong state and for what the kernel refuses, code 5
    where the process has finished.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        look_at_tree: Callable[[], Walk],
        wall_ns: Callable[[], int],
        exited: Callable[[Exit], None],
    ) -> None:
        """Take over a held process; `exited` is called once, when the whole tree has ended."""
        self._parts = parts
        self._look_at_tree = look_at_tree
        self._wall_ns = wall_ns
        self._exited = exited
        self._lock = asyncio.Lock()
        self._started = False
        self._paused = False
        self._ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._watch = asyncio.create_task(self._watch_first_process(), name="watch first process")

    @property
    def pid(self) -> int:
        """The first process's pid, kept after its end."""
        return self._parts.held.identity.pid

    @property
    def exit(self) -> Exit | None:
        """How it ended; None while it lives."""
        return self._ended.result() if self._ended.done() else None

    @property
    def _status(self) -> Status:
        if self._ended.done():
            return Status.STOPPED
        if self._paused:
            return Status.PAUSED
        return Status.RUNNING if self._started else Status.CREATED

    async def settled(self) -> Status:
        """The status; waits while something is being done to the task, as containerd's shims do."""
        async with self._lock:
            return self._status

    async def start(self, started: Callable[[], None]) -> None:
        """Let the first process execute its program; `started` comes before any word of its end."""
        async with self._lock:
            self._require(Status.CREATED, "start")
            self._started = True
            try:
                await self._parts.held.release()
            except LaunchFailed as error:
                raise StatusError(Code.UNKNOWN, str(error)) from error
            started()

    async def pause(self, paused: Callable[[], None]) -> None:
        """Return when all stands still; else all goes on, and the error names who did not stop."""
        async with self._lock:
            self._require(Status.RUNNING, "pause")
            freezer = self._parts.freezer
            await _told(freezer.freeze())
            first = look(self.pid)
            if first is None or first.dead:
                await _told(freezer.thaw())
                raise StatusError(Code.UNKNOWN, "cannot pause: the process has just exited")
            self._paused = True
            paused()

    async def resume(self, resumed: Callable[[], None]) -> None:
        """Let everything go on that `pause` stopped."""
        async with self._lock:
            self._require(Status.PAUSED, "resume")
            await _told(self._parts.freezer.thaw())
            self._paused = False
            resumed()

    async def kill(self, number: int, *, everyone: bool) -> None:
        """Signal the first process or the whole tree. SIGKILL ends a paused tree as a whole.

        Any other signal waits in a paused tree until it is resumed, except that one which would
        end a process does so at once under the freezer of cgroup version 2: the kernel's own rule.
        """
        if not 0 < number < signal.NSIG:
            raise StatusError(Code.INVALID_ARGUMENT, f"signal {number} is none")
        async with self._lock:
            if self._ended.done():
                raise StatusError(Code.NOT_FOUND, "process already finished")
            ends_all = number == signal.SIGKILL and self._paused
            targets = self._living() if everyone or ends_all else (self._parts.held.identity,)
            for identity in targets:
                signal_if_allowed(identity, number)
            if ends_all:
                await _told(self._parts.freezer.thaw())

    async def delete(self) -> Exit:
        """Remove all that is left of a stopped task; one that never started is ended first."""
        async with self._lock:
            if self._status == Status.CREATED:
                signal_if_allowed(self._parts.held.identity, signal.SIGKILL)
            else:
                self._require(Status.STOPPED, "delete")
        ended = await self.wait()
        async with self._lock:
            await _told(self._remove())
        return ended

    async def wait(self) -> Exit:
        """How it ended, once it has."""
        return await asyncio.shield(self._ended)

    async def destroy(self) -> None:
        """End everything at once: the shim is about to go, and takes its tree along."""
        for identity in self._living():
            signal_if_allowed(identity, signal.SIGKILL)
        await self._parts.freezer.thaw()
        await self._watch
        await self._remove()

    def pids(self) -> list[int]:
        """All living processes of the tree."""
        return [identity.pid for identity in self._living()]

    def close_stdin(self) -> None:
        """Let the process see the end of its input."""
        self._parts.keeper.close()

    def _require(self, wanted: Status, verb: str) -> None:
        if self._status != wanted:
            raise StatusError(
                Code.UNKNOWN,
                f"cannot {verb} a task that is {self._status.name}; it must be {wanted.name}",
            )

    def _living(self) -> tuple[Identity, ...]:
        return tuple(process.identity for process in self._look_at_tree().living)

    async def _watch_first_process(self) -> None:
        """When the first process ends, end the rest, as the kernel does in a pid namespace."""
        exit_status = await self._parts.held.child.exited
        at_ns = self._wall_ns()
        async with self._lock:
            await self._end_rest()
            ended = Exit(pid=self.pid, exit_status=exit_status, exited_at_ns=at_ns)
            self._ended.set_result(ended)
            self.close_stdin()
            self._exited(ended)

    async def _end_rest(self) -> None:
        for identity in self._living():
            signal_if_allowed(identity, signal.SIGKILL)
        try:
            await self._parts.freezer.thaw()
        except (FreezeFailed, OSError) as error:
            _log.warning("after the first process's end: %s", error)
        if left := await kill_until_none(self._living):
            pids = ", ".join(str(identity.pid) for identity in left)
            _log.warning("processes %s outlive the first process: they do not die", pids)

    async def _remove(self) -> None:
        if left := self._living():
            pids = ", ".join(str(identity.pid) for identity in left)
            raise StillAlive(f"processes {pids} do not die; delete again later")
        await self._parts.freezer.remove()
        for group in self._parts.limit_groups:
            if not await remove_group(group):
                raise StillAlive(f"cgroup {group} is still in use; delete again later")


async def _told(work: Awaitable[None]) -> None:
    """Do it, and tell the caller of the RPC what the kernel or the tree refused."""
    try:
        await work
    except (FreezeFailed, OSError) as error:
        raise StatusError(Code.UNKNOWN, str(error)) from error
