"""Owns every background task: a name, a strong reference, and a reader for its failure."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import structlog

_log = structlog.get_logger("cubelet.supervisor")


class Supervisor:
    """Tasks end by themselves or by `close`; one that dies of a bug is logged, never silent."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self.crashed = 0

    def spawn(self, work: Coroutine[object, object, None], *, name: str) -> asyncio.Task[None]:
        """Start a task and hold it until it is done."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
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
