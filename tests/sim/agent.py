"""The life of the agent under test: started, stopped, continued, killed, closed, started again."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from cubelet.core.faults import Fault
from cubelet.core.policy import Policy
from cubelet.core.spec import HttpHook
from cubelet.engine.engine import Engine
from cubelet.runtime.events import MEANINGS
from tests.sim.disk import Disk
from tests.sim.loop import OWNER
from tests.sim.runtime import SimRuntime
from tests.sim.world import Counted, World, WorldClock

T = TypeVar("T")


class AgentDown(Exception):
    """The connection to the agent is refused or lost."""


class NoHooks:
    """Implements ports.Hooks; no sandbox here has one."""

    async def run(self, hook: HttpHook, *, kind: str) -> Fault | None:
        return None


class Agent:
    """Runs the shipped engine. Its callers are cut off when it dies."""

    def __init__(
        self, world: World, disk: Disk, runtimes: Mapping[str, SimRuntime], policy: Policy
    ) -> None:
        self.world = world
        self.disk = disk
        self.runtimes = runtimes
        self.policy = policy
        self.counted = Counted(world.rng)
        self.engine: Engine | None = None
        #: True once `start` of the engine has returned.
        self.serving = False
        #: Since when it has run without being stopped; the checkers' bounds begin there.
        self.up_since_s = 0.0
        #: Since when this process runs.
        self.begun_s = 0.0
        self.closing = False
        self._context = contextvars.Context()
        self._calls: dict[asyncio.Future[Any], None] = {}
        self._graves: list[asyncio.Task[Any]] = []

    def start(self) -> None:
        """A new process over the same disk."""
        world = self.world
        world.loop.life += 1
        self._context = world.context.copy()
        self._context.run(OWNER.set, world.loop.life)
        self.engine = self._context.run(self._build)
        self.serving, self.closing = False, False
        self.up_since_s = self.begun_s = world.now_s
        world.note(f"agent {world.loop.life} starts")
        self.call(self.engine.start()).add_done_callback(self._started, context=world.context)

    def call(self, work: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
        """Run a request inside the agent; its answer, or AgentDown where that dies before."""
        loop = self.world.loop
        if self.engine is None:
            work.close()
            raise AgentDown
        answer: asyncio.Future[T] = loop.create_future()
        self._calls[answer] = None
        task = loop.create_task(work, context=self._context.copy())
        task.add_done_callback(
            lambda done: self._answered(done, answer), context=self.world.context
        )
        answer.add_done_callback(lambda _: task.cancel() if answer.cancelled() else None)
        return answer

    def hint(self, sandbox_id: str, topic: str) -> None:
        """An event arrives, if somebody listens."""
        if self.engine is not None and self.serving and not self.world.loop.stopped:
            self.world.note(f"event {topic} of {sandbox_id[:20]!r}")
            self._context.copy().run(self._hint, sandbox_id, topic)

    def gap(self) -> None:
        """The event stream breaks and is opened again."""
        if self.engine is not None and self.serving and not self.world.loop.stopped:
            self.world.note("event stream broke")
            self._context.copy().run(self.engine.relist, "gap")
            self.world.judge.gap()

    def stop(self, for_s: float) -> None:
        """SIGSTOP, and SIGCONT so much later."""
        world = self.world
        if world.loop.stopped or self.engine is None:
            return
        life = world.loop.life
        world.loop.stopped = True
        world.note(f"agent stopped for {for_s:.1f} s")
        world.after(world.work_time(for_s), self._continue, life)

    def kill(self, *, power: bool = False, reboot: bool = False) -> None:
        """Kill -9 at this very instant.

        `power`: the host goes down, and all sandboxes with it; `reboot`: the same, in an orderly
        way, so that what was written is on the disk.
        """
        world = self.world
        if self.engine is None:
            return
        world.note("power cut" if power else "host reboots" if reboot else "agent killed")
        life = world.loop.life
        self._bury()
        self.disk.end(power=power)
        for runtime in self.runtimes.values():
            for shim in list(runtime.shims.values()):
                if power or reboot:
                    shim.end(None)
                else:
                    shim.connection_lost(life)
        if power or reboot:
            world.reboot()
        world.judge.died(power=power)

    async def close(self) -> None:
        """SIGTERM: drain for a while, then close, then the process ends."""
        engine, life = self.engine, self.world.loop.life
        if engine is None or self.closing:
            return
        self.closing = True
        self.world.note("agent drains")
        try:
            await self.call(engine.drain(5.0))
            await self.call(engine.close())
        except AgentDown:
            return
        if life == self.world.loop.life:
            self.kill()

    def _build(self) -> Engine:
        return Engine(
            store=self.disk.open(),
            runtimes=self.runtimes,
            hooks=NoHooks(),
            clock=WorldClock(self.world),
            ids=self.counted,
            chance=self.counted,
            policy=self.policy,
            boot_id=self.world.boot_id,
        )

    def _hint(self, sandbox_id: str, topic: str) -> None:
        assert self.engine is not None
        cause, told = MEANINGS[f"/tasks/{topic}"]
        self.engine.hint(sandbox_id, cause, told=told)

    def _started(self, done: asyncio.Future[None]) -> None:
        if done.cancelled() or isinstance(done.exception(), AgentDown):
            return
        if (failed := done.exception()) is not None:
            self.world.note(f"agent cannot start: {failed}")
            self.kill()
            self.world.after(1.0, self.start)  # As whoever looks after it does.
            return
        self.serving = True
        self.world.note("agent serves")
        self.world.judge.serving()

    def _continue(self, life: int) -> None:
        if self.world.loop.life == life and self.world.loop.stopped:
            self.world.note("agent continues")
            self.up_since_s = self.world.now_s
            self.world.loop.go_on()

    def _answered(self, task: asyncio.Task[T], answer: asyncio.Future[T]) -> None:
        self._calls.pop(answer, None)
        if answer.done():
            if not task.cancelled():
                task.exception()
        elif task.cancelled():
            answer.set_exception(AgentDown())
        elif (error := task.exception()) is not None:
            answer.set_exception(error)
        else:
            answer.set_result(task.result())

    def _bury(self) -> None:
        """No handle of this life runs again; its tasks are kept so that none is collected early."""
        left = self.world.loop.bury()
        for task in left:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._graves.extend(left)
        self.engine, self.serving = None, False
        calls, self._calls = self._calls, {}
        for answer in calls:
            if not answer.done():
                answer.set_exception(AgentDown())

    def exhume(self) -> None:
        """After the run: end the coroutines of all lives, which runs what `finally` they have."""
        self._bury()
        for task in self._graves:
            coroutine = task.get_coro()
            try:
                coroutine.close()
            except RuntimeError:
                continue  # It awaits in its clean-up, which no killed process does.
        self._graves.clear()
