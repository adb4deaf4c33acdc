"""An event loop in virtual time on which one agent can be stopped, continued and killed.

Every handle belongs to whoever was running when it was made: the world, or one life of the agent.
Of a life that was killed no handle ever runs again, as after kill -9: no `finally`, no clean-up.
Those of a stopped one wait, as after SIGSTOP, while the world and the clocks go on.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")

_TASKS_KEPT = 2000

#: Whose code runs: the number of the agent's life, 0 for the world.
OWNER: contextvars.ContextVar[int] = contextvars.ContextVar("owner", default=0)


class Deadlock(Exception):
    """Everything waits for something that cannot come."""


class SimLoop(asyncio.BaseEventLoop):
    """Needs no selector: between two timers nothing can happen but what is ready."""

    #: The private parts of BaseEventLoop that `_run_once` takes its work from.
    _ready: deque[events.Handle]
    _scheduled: list[events.TimerHandle]

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.life = 0
        self.stopped = False
        #: How many of the agent's handles have run; kills are planned by this number.
        self.steps = 0
        self.kill_at_step: int | None = None
        self.on_kill_step: Callable[[], object] = lambda: None
        self._held: list[events.Handle] = []
        self._tasks: list[asyncio.Task[Any]] = []

    def time(self) -> float:
        return self.now_s

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """As every loop does; the agent's tasks are remembered until they are done."""
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        if OWNER.get() if context is None else context.get(OWNER, 0):
            self._tasks.append(task)
            if len(self._tasks) > _TASKS_KEPT:
                self._tasks = self.living_tasks()
        return task

    def living_tasks(self) -> list[asyncio.Task[Any]]:
        """Those of the agent's current life that are not done."""
        return [task for task in self._tasks if not task.done()]

    def bury(self) -> list[asyncio.Task[Any]]:
        """Nothing of the current life runs any more; what it leaves, to be ended after the run."""
        left = self.living_tasks()
        self._tasks.clear()
        self.life += 1
        self.stopped = False
        self._held.clear()
        return left

    def go_on(self) -> None:
        """Run what has waited since the agent was stopped."""
        self.stopped = False
        self._ready.extend(self._held)
        self._held.clear()

    def _run_once(self) -> None:
        """One round: move the clock if nothing is ready, then run what is."""
        ready, scheduled = self._ready, self._scheduled
        while scheduled and scheduled[0]._cancelled:
            self._forget(heapq.heappop(scheduled))
        if not ready:
            if not scheduled:
                raise Deadlock
            self.now_s = max(self.now_s, scheduled[0].when())
        while scheduled and scheduled[0].when() <= self.now_s:
            handle = heapq.heappop(scheduled)
            self._forget(handle)
            ready.append(handle)
        for _ in range(len(ready)):
            handle_ready = ready.popleft()
            if not handle_ready._cancelled:
                self._run(handle_ready)

    def _run(self, handle: events.Handle) -> None:
        owner = handle._context.get(OWNER, 0)  # type: ignore[attr-defined]
        if owner:
            if owner != self.life:
                return
            if self.stopped:
                self._held.append(handle)
                return
            self.steps += 1
            if self.steps == self.kill_at_step:
                self.on_kill_step()
                return
        handle._run()

    @staticmethod
    def _forget(handle: events.TimerHandle) -> None:
        handle._scheduled = False  # type: ignore[attr-defined]

    def _write_to_self(self) -> None:
        """Nobody sleeps, so nobody has to be woken."""
