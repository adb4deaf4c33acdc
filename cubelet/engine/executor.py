"""Effects that reach the runtime: a port call with its deadline, and the input that reports it.

The deadline of a pause or resume is ours alone: when it passes, the call is left running and a
CallOverdue is reported, because a shim that loses its caller in mid-freeze kills the runtime's
helper and leaves the processes frozen (seen with containerd-shim-runc-v2 of containerd 1.6).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import assert_never

import structlog

from cubelet.core.effects import CallRuntime, Heal, Query
from cubelet.core.evidence import Evidence, NoAnswer
from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.inputs import (
    CallOverdue,
    CallReturned,
    DestroyEnded,
    HealEnded,
    Input,
    Observed,
)
from cubelet.core.model import Call, Handle, OpKind, Record
from cubelet.core.policy import Policy, call_limit_s
from cubelet.crashpoints import reach
from cubelet.engine.lanes import Lanes
from cubelet.engine.ports import CallFailed, Clock, Hooks, Runtime
from cubelet.engine.prestop import run_prestop
from cubelet.engine.questions import Questions

_log = structlog.get_logger("cubelet.executor")

Report = Callable[[Input], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Got:
    """What a successful call brought."""

    generation: int = 0
    path: str = ""


@dataclass(slots=True)
class Executor:
    """Runs the effects of all sandboxes; keeps nothing of any of them."""

    runtimes: Mapping[str, Runtime]
    hooks: Hooks
    clock: Clock
    policy: Policy
    lanes: Lanes = field(default_factory=Lanes)

    async def call(
        self, effect: CallRuntime, record: Record, report: Report, *, wanted: Callable[[], bool]
    ) -> None:
        """Make the call of the open operation; report a missed deadline, and its end.

        `wanted` is asked once more after the hooks: a sandbox that was deleted while they ran may
        have left its id to another one, which nobody asked to pause.
        """
        if effect.kind is OpKind.CREATE:
            reach("engine.create.begin")
            returned = await self._create(effect, record)
            reach("engine.create.returned")
            report(returned)
            return
        if effect.kind is OpKind.PAUSE and record.spec.prestop:
            reach("engine.hooks.begin")
            await run_prestop(record, self.hooks, limit_s=self.policy.hooks_deadline_s)
            reach("engine.hooks.ended")
        if not wanted():
            return
        reach("engine.call.begin")
        deadline_s = call_limit_s(effect.kind, self.policy)
        missed = CallOverdue(epoch=effect.epoch, deadline_s=deadline_s)
        timer = asyncio.get_running_loop().call_later(deadline_s, report, missed)
        try:
            returned = await self._until_returned(effect, record)
        finally:
            timer.cancel()
        reach("engine.call.returned")
        report(returned)

    async def query(
        self, effect: Query, record: Record, report: Report, questions: Questions
    ) -> None:
        """Ask for the status once; no answer in time is reported as such."""
        async with self.lanes.of(effect.cause, record):
            reach("engine.query.begin")
            asked_mono_s = self.clock.now().mono_s
            evidence = await self.ask(record, questions)
        reach("engine.query.answered")
        report(
            Observed(
                cause=effect.cause,
                epoch=record.epoch,
                incarnation=record.incarnation,
                call=record.open.call if record.open else None,
                evidence=evidence,
                asked_mono_s=asked_mono_s,
            )
        )

    async def ask(self, record: Record, questions: Questions) -> Evidence:
        """The shim's answer within the query's deadline; whatever goes wrong is NoAnswer."""
        deadline_s = self.policy.query_deadline_s
        try:
            runtime = self.runtime_of(record)
            return await questions.ask(lambda: runtime.state(record), deadline_s=deadline_s)
        except CallFailed as failed:
            return NoAnswer(why=failed.fault.message)
        except Exception as error:  # noqa: BLE001 - an adapter's bug proves nothing of the sandbox.
            return NoAnswer(why=_bug(record, error).message)

    async def heal(self, effect: Heal, record: Record, report: Report) -> None:
        """Put kernel and shim in agreement, within the deadline."""
        reach("engine.heal.begin")
        failure = await self._failure_of(
            record,
            lambda: self.runtime_of(record).heal(record, frozen=effect.frozen),
            deadline_s=self.policy.heal_deadline_s,
        )
        reach("engine.heal.ended")
        report(HealEnded(epoch=record.epoch, op_id=effect.op_id, failure=failure))

    async def destroy(self, record: Record, report: Report) -> None:
        """Remove everything the sandbox has, within the deadline."""
        reach("engine.destroy.begin")
        failure = await self._failure_of(
            record,
            lambda: self.runtime_of(record).destroy(record),
            deadline_s=self.policy.destroy_deadline_s,
        )
        reach("engine.destroy.ended")
        report(DestroyEnded(failure=failure))

    def runtime_of(self, record: Record) -> Runtime:
        """The sandbox's runtime; a record of one that is not configured any more is not lost."""
        runtime = self.runtimes.get(record.spec.runtime)
        if runtime is not None:
            return runtime
        fault = Fault(
            code=Code.UNAVAILABLE,
            reason=Reason.UNKNOWN_RUNTIME,
            message=f"runtime {record.spec.runtime} is not usable here; see the agent's log",
        )
        raise CallFailed(fault, call=Call.ANSWERED)

    async def _failure_of(
        self,
        record: Record,
        work: Callable[[], Coroutine[object, object, None]],
        *,
        deadline_s: float,
    ) -> Fault | None:
        """Run it to its end or its deadline; a bug of an adapter must not hang who waits."""
        limit = asyncio.timeout(deadline_s)
        try:
            async with limit:
                await work()
        except TimeoutError as error:
            return _deadline(deadline_s) if limit.expired() else _bug(record, error)
        except CallFailed as failed:
            return failed.fault
        except Exception as error:  # noqa: BLE001 - told as a failure, logged whole.
            return _bug(record, error)
        return None

    async def _create(self, effect: CallRuntime, record: Record) -> CallReturned:
        made: list[Handle] = []

        async def create() -> None:
            made.append(await self.runtime_of(record).create(record))

        failure = await self._failure_of(
            record, create, deadline_s=call_limit_s(effect.kind, self.policy)
        )
        return CallReturned(
            epoch=effect.epoch,
            kind=effect.kind,
            call=Call.ANSWERED,
            failure=failure,
            handle=made[0] if made else None,
        )

    async def _until_returned(self, effect: CallRuntime, record: Record) -> CallReturned:
        failure: Fault | None = None
        got, call = _Got(), Call.ANSWERED
        try:
            got = await self._make(effect, record)
        except CallFailed as failed:
            failure, call = failed.fault, failed.call
        except Exception as error:  # noqa: BLE001 - whether it ran is unknown: the call is lost.
            failure, call = _bug(record, error), Call.LOST
        return CallReturned(
            epoch=effect.epoch,
            kind=effect.kind,
            call=call,
            failure=failure,
            generation=got.generation,
            path=got.path,
        )

    async def _make(self, effect: CallRuntime, record: Record) -> _Got:
        runtime = self.runtime_of(record)
        match effect.kind:
            case OpKind.PAUSE:
                await runtime.pause(record)
            case OpKind.RESUME:
                await runtime.resume(record)
            case OpKind.COMMIT:
                assert record.open is not None and record.open.plan is not None  # noqa: S101, PT018
                taken = await runtime.commit(record, record.open.plan)
                return _Got(generation=taken.generation, path=taken.path)
            case OpKind.ROLLBACK:
                assert effect.snapshot is not None  # noqa: S101 - a rollback comes with its target.
                return _Got(generation=await runtime.rollback(record, effect.snapshot))
            case OpKind.CREATE:
                raise AssertionError("a create has a way of its own")
            case _ as unreachable:
                assert_never(unreachable)
        return _Got()


def _deadline(deadline_s: float) -> Fault:
    return Fault(
        code=Code.DEADLINE_EXCEEDED,
        reason=Reason.RUNTIME_DEADLINE,
        message=f"the runtime was not done within {deadline_s:g} s",
    )


def _bug(record: Record, error: Exception) -> Fault:
    """An exception that no port may raise: logged whole, told without its text."""
    _log.error("adapter_bug", sandbox=record.id, exc_info=error)
    return Fault(
        code=Code.INTERNAL,
        reason=Reason.BUG,
        message=f"the adapter of runtime {record.spec.runtime} broke ({type(error).__name__})",
    )
