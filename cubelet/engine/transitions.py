"""The log's line for each change that is on disk, in the order in which they were written."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import structlog

from cubelet.core.effects import Entry

_log = structlog.get_logger("cubelet.worker")

#: The journal has each change before its line is logged, so the line can wait until the call to the
#: shim, or the answer to the caller, is on its way: a cold one takes a fifth of a millisecond.
DELAY_S = 0.002


class TransitionLog:
    """One for all workers: what is written first is logged first."""

    def __init__(self) -> None:
        self._waiting: deque[Entry] = deque()

    def written(self, entries: Sequence[Entry]) -> None:
        """These are on disk; they are logged a moment later."""
        loop = asyncio.get_running_loop()
        for entry in entries:
            self._waiting.append(entry)
            loop.call_later(DELAY_S, self._log_next)

    def _log_next(self) -> None:
        entry = self._waiting.popleft()
        _log.info(
            "transition",
            sandbox=entry.sandbox_id,
            before=entry.before,
            after=entry.after,
            cause=entry.cause,
            op=entry.op_id,
            epoch=entry.epoch,
            detail=entry.detail,
        )
