"""How many background questions are asked at once; a caller's own question never waits here."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext

from cubelet.core.inputs import Cause
from cubelet.core.model import Record

#: Questions of the rounds and of recovery that are under way at once.
QUESTIONS_MAX = 64
#: Of these, to shims that did not answer the last time: each of them may take the whole deadline,
#: and must not keep those waiting that answer.
SUSPECTS_MAX = 32
#: Causes whose questions wait in a lane.
BACKGROUND = frozenset({Cause.RELIST, Cause.SWEEP, Cause.RECOVERY})


class Lanes:
    """Two of them: one for shims that answer, one for those that did not."""

    def __init__(self) -> None:
        self._answering = asyncio.Semaphore(QUESTIONS_MAX)
        self._suspects = asyncio.Semaphore(SUSPECTS_MAX)

    def of(self, cause: Cause, record: Record) -> AbstractAsyncContextManager[None]:
        """The lane for a question with this cause."""
        if cause not in BACKGROUND:
            return nullcontext()
        return self.background(silent=record.unseen_since is not None)

    def background(self, *, silent: bool) -> AbstractAsyncContextManager[None]:
        """The lane of a shim that did not answer the last time, or of one that did."""
        return self._suspects if silent else self._answering
