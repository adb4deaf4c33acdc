"""Owns every background task: a name, a strong reference, and a reader for its failure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import structlog

_log = structlog.get_logger("cubelet.supervisor")

#: Between the crash of a loop and its next start.
RESTART_AFTER_S = 1.0

Work = Coroutine[object, object, None]


class Supervisor:
    """Tasks end by themselves or by `close`; one that dies of a bug is logged, never silent."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], None] = {}  # In the order of their start.
        self.crashed = 0

    def spawn(self, work: Work, *, name: str) -> asyncio.Task[None]:
        """Start a task and hold it until it is done."""
        task = asyncio.create_task(work, name=name)
        self._tasks[task] = None
        task.add_done_callback(self._done)
        return task

    def keep_up(self, loop: Callable[[], Work], *, name: str) -> asyncio.Task[None]:
        """Start a loop that ends only with the agent; one that dies is started again."""
        return self.spawn(self._again_and_again(loop, name), name=name)

    def see_through(self, work: Callable[[], Work], *, name: str) -> asyncio.Task[None]:
        """Start work that ends by itself; where it dies before, it is begun again."""
        return self.spawn(self._to_its_end(work, name), name=name)

    async def _to_its_end(self, work: Callable[[], Work], name: str) -> None:
        ended = await self._turn(work, name)
        while not ended:
            await asyncio.sleep(RESTART_AFTER_S)
            ended = await self._turn(work, name)

    async def _again_and_again(self, loop: Callable[[], Work], name: str) -> None:
        while True:
            await self._turn(loop, name)
            await asyncio.sleep(RESTART_AFTER_S)

    async def _turn(self, work: Callable[[], Work], name: str) -> bool:
        """Whether it came to its end."""
        try:
            await work()
        except Exception:  # noqa: BLE001 - a bug in one turn must not end all turns.
            self.crashed += 1
            _log.exception("loop_crashed", task=name, again_after_s=RESTART_AFTER_S)
            return False
        return True

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self.crashed += 1
            _log.error("task_crashed", task=task.get_name(), exc_info=error)

    async def close(self) -> None:
        """Cancel what still runs and wait until it has ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
