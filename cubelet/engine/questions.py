"""Questions for one sandbox's status, of which one may hang on after its time is over.

A shim that is busy or stopped answers when it can again. The answer is too old to be believed then,
but it says that now is the time to ask: so a question that nobody waits for any more is left
hanging, and its end is a hint. That finds the end of a hang at once, where a timer would be late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from cubelet.core.evidence import Evidence, NoAnswer

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Questions:
    """Asks; keeps at most one question hanging, the newest."""

    def __init__(self, *, spawn: Spawn, hint: Callable[[], None]) -> None:
        self._spawn = spawn
        self._hint = hint
        self._hanging: asyncio.Task[None] | None = None

    async def ask(
        self, question: Callable[[], Awaitable[Evidence]], *, deadline_s: float
    ) -> Evidence:
        """The answer, or NoAnswer once the time is over; raises what the question raises."""
        answer: asyncio.Future[Evidence] = asyncio.get_running_loop().create_future()
        asked = self._spawn(_into(answer, question))
        try:
            async with asyncio.timeout(deadline_s) as limit:
                return await asyncio.shield(answer)
        except TimeoutError:
            if not limit.expired():
                raise  # The question's own.
            self._let_hang(asked, answer)
            return NoAnswer(why=f"the shim was silent for {deadline_s:g} s")
        except asyncio.CancelledError:
            asked.cancel()
            raise

    def _let_hang(self, asked: asyncio.Task[None], answer: asyncio.Future[Evidence]) -> None:
        if self._hanging is not None:
            self._hanging.cancel()
        self._hanging = asked
        answer.add_done_callback(self._answered)

    def _answered(self, answer: asyncio.Future[Evidence]) -> None:
        if not answer.cancelled() and answer.exception() is None:
            self._hint()


async def _into(
    answer: asyncio.Future[Evidence], question: Callable[[], Awaitable[Evidence]]
) -> None:
    try:
        evidence = await question()
    except asyncio.CancelledError:
        answer.cancel()
        raise
    except Exception as failure:  # noqa: BLE001 - handed to who asked, if that one still waits.
        if not answer.done():
            answer.set_exception(failure)
    else:
        if not answer.done():
            answer.set_result(evidence)
