"""Calls and questions: without a limit, twice, or ended by the wrong one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from cubelet.core import calls
from cubelet.core.edges import keep
from cubelet.core.effects import CallRuntime, Decision, Query
from cubelet.core.evidence import Evidence
from cubelet.core.inputs import CallOverdue, Request
from cubelet.core.model import Call, Now, Record
from cubelet.engine.executor import Executor
from cubelet.engine.ports import CallFailed
from cubelet.engine.questions import Questions
from cubelet.engine.worker import Worker
from tests.sim.mutants.base import Change, mutant


@mutant("I17", "I1")
def call_without_deadline() -> tuple[Change, ...]:
    """A pause is waited for as long as the shim takes."""

    def patient(record: Record, happened: CallOverdue, now: Now) -> Decision:
        return keep(record)

    return (Change(calls, "overdue", patient),)


@mutant("I17", "R3")
def question_without_deadline() -> tuple[Change, ...]:
    """A question for the status is waited for as long as the shim's mutex is held."""

    async def patient(
        self: Questions, question: Callable[[], Awaitable[Evidence]], *, deadline_s: float
    ) -> Evidence:
        return await question()

    return (Change(Questions, "ask", patient),)


@mutant("I17", "R3")
def question_inherits_the_calls_deadline() -> tuple[Change, ...]:
    """A question after a failed call may take as long as the call might have."""
    real = Questions.ask

    async def patient(
        self: Questions, question: Callable[[], Awaitable[Evidence]], *, deadline_s: float
    ) -> Evidence:
        return await real(self, question, deadline_s=30.0)

    return (Change(Questions, "ask", patient),)


@mutant("I17", "I1")
def callers_cancel_ends_the_call() -> tuple[Change, ...]:
    """A caller that gives up takes the runtime call with it, and the settling too."""
    real = Worker.request

    async def tied(self: Worker, happened: Request) -> Record | None:
        try:
            return await real(self, happened)
        except asyncio.CancelledError:
            for task in self._around.supervisor._tasks:
                if task.get_name() == f"CallRuntime-{self.id}":
                    task.cancel()
            raise

    return (Change(Worker, "request", tied),)


@mutant("I12")
def call_made_twice() -> tuple[Change, ...]:
    """A call that breaks off is made again at once, by the transport."""
    real = Executor._make

    async def eager(self: Executor, effect: CallRuntime, record: Record) -> object:
        try:
            return await real(self, effect, record)
        except CallFailed as failed:
            if failed.call is not Call.LOST:
                raise
            return await real(self, effect, record)

    return (Change(Executor, "_make", eager),)


@mutant("I16", "I17")
def question_blocks_the_worker() -> tuple[Change, ...]:
    """While a sandbox's shim is asked, none of its requests is looked at."""
    real = Worker._apply

    async def busy(self: Worker, happened: object) -> None:
        await real(self, happened)  # type: ignore[arg-type]
        while any(kind is Query for kind, *_ in self._errands._running):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    return (Change(Worker, "_apply", busy),)


@mutant("I16")
def one_question_at_a_time() -> tuple[Change, ...]:
    """All questions of the agent wait in one line, so that a hung shim delays everybody's."""
    real = Executor.ask

    async def lined_up(self: Executor, record: Record, questions: Questions) -> Evidence:
        async with _line():
            return await real(self, record, questions)

    return (Change(Executor, "ask", lined_up),)


@mutant("I16")
def one_call_at_a_time() -> tuple[Change, ...]:
    """All calls of the agent wait in one line, so that a hung shim delays everybody's."""
    real = Executor._until_returned

    async def lined_up(self: Executor, effect: CallRuntime, record: Record) -> object:
        async with _line():
            return await real(self, effect, record)

    return (Change(Executor, "_until_returned", lined_up),)


@mutant("I17", "R18")
def destroy_without_deadline() -> tuple[Change, ...]:
    """A removal is waited for as long as it takes, one that hangs for ever."""
    real = Executor.destroy

    async def patient(self: Executor, record: Record, report: object) -> None:
        executor = replace(self, policy=replace(self.policy, destroy_deadline_s=1e6))
        await real(executor, record, report)  # type: ignore[arg-type]

    return (Change(Executor, "destroy", patient),)


@mutant("I12")
def effects_of_one_call_run_twice() -> tuple[Change, ...]:
    """An effect that is under way already is begun again."""
    real = Worker._perform

    def double(self: Worker, effect: object) -> None:
        real(self, effect)  # type: ignore[arg-type]
        if isinstance(effect, CallRuntime):
            self._errands._running.clear()
            real(self, effect)

    return (Change(Worker, "_perform", double),)


#: The one line of the run that is played now.
_LINES: dict[asyncio.AbstractEventLoop, asyncio.Lock] = {}


def _line() -> asyncio.Lock:
    loop = asyncio.get_running_loop()
    if loop not in _LINES:
        _LINES.clear()
        _LINES[loop] = asyncio.Lock()
    return _LINES[loop]
