"""Effects that reach the runtime: a port call with its deadline, and the input that reports it.

The deadline of a pause or resume is ours alone: when it passes, the call is left running and a
CallOverdue is reported, because a shim that loses its caller in mid-freeze kills the runtime's
helper and leaves the processes frozen (seen with containerd-shim-runc-v2 of containerd 1.6).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from cubelet.core.effects import CallRuntime, Query
from cubelet.core.evidence import NoAnswer
from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.inputs import (
    CallOverdue,
    CallReturned,
    Cause,
    DestroyEnded,
    Input,
    Observed,
)
from cubelet.core.model import Call, Handle, OpKind, Record
from cubelet.core.policy import Policy
from cubelet.core.spec import HttpHook
from cubelet.engine.ports import CallFailed, Hooks, Runtime

_log = structlog.get_logger("cubelet.executor")

#: How many recovery questions are asked at once; others have their own callers as a bound.
RECOVERY_QUERIES_MAX = 64

Report = Callable[[Input], None]


@dataclass(slots=True)
class Executor:
    """Runs the effects of all sandboxes; keeps nothing of any of them."""

    runtimes: Mapping[str, Runtime]
    hooks: Hooks
    policy: Policy
    _recovery: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(RECOVERY_QUERIES_MAX)
    )

    async def call(
        self, effect: CallRuntime, record: Record, report: Report, *, wanted: Callable[[], bool]
    ) -> None:
        """Make the call of the open operation; report a missed deadline, and its end.

        `wanted` is asked once more after the hooks: a sandbox that was deleted while they ran may
        have left its id to another one, which nobody asked to pause.
        """
        if effect.kind is OpKind.CREATE:
            report(await self._create(effect, record))
            return
        if effect.kind is OpKind.PAUSE:
            await self._prestop(record)
        if not wanted():
            return
        deadline_s = self.policy.call_deadline_s
        missed = CallOverdue(epoch=effect.epoch, deadline_s=deadline_s)
        timer = asyncio.get_running_loop().call_later(deadline_s, report, missed)
        try:
            returned = await self._freeze(effect, record)
        finally:
            timer.cancel()
        report(returned)

    async def query(self, effect: Query, record: Record, report: Report) -> None:
        """Ask for the status once; no answer in time is reported as such."""
        if effect.cause is Cause.RECOVERY:
            async with self._recovery:
                await self._ask(effect, record, report)
        else:
            await self._ask(effect, record, report)

    async def destroy(self, record: Record, report: Report) -> None:
        """Remove everything the sandbox has, within the deadline."""
        deadline_s = self.policy.destroy_deadline_s
        failure: Fault | None = None
        try:
            async with asyncio.timeout(deadline_s):
                await self._runtime(record).destroy(record)
        except TimeoutError:
            failure = _deadline(deadline_s)
        except CallFailed as failed:
            failure = failed.fault
        except Exception as error:  # noqa: BLE001 - an adapter's bug must not hang the delete.
            failure = _bug(record, error)
        report(DestroyEnded(failure=failure))

    async def _ask(self, effect: Query, record: Record, report: Report) -> None:
        try:
            async with asyncio.timeout(self.policy.query_deadline_s):
                evidence = await self._runtime(record).state(record)
        except TimeoutError:
            evidence = NoAnswer(why=f"the shim was silent for {self.policy.query_deadline_s:g} s")
        except CallFailed as failed:
            evidence = NoAnswer(why=failed.fault.message)
        except Exception as error:  # noqa: BLE001 - an adapter's bug proves nothing of the sandbox.
            evidence = NoAnswer(why=_bug(record, error).message)
        report(
            Observed(
                cause=effect.cause,
                epoch=record.epoch,
                incarnation=record.incarnation,
                call=record.open.call if record.open else None,
                evidence=evidence,
            )
        )

    async def _create(self, effect: CallRuntime, record: Record) -> CallReturned:
        deadline_s = self.policy.create_deadline_s
        handle: Handle | None = None
        failure: Fault | None = None
        try:
            async with asyncio.timeout(deadline_s):
                handle = await self._runtime(record).create(record)
        except TimeoutError:
            failure = _deadline(deadline_s)
        except CallFailed as failed:
            failure = failed.fault
        except Exception as error:  # noqa: BLE001 - reported, and undone like any failed create.
            failure = _bug(record, error)
        return CallReturned(
            epoch=effect.epoch,
            kind=effect.kind,
            call=Call.ANSWERED,
            failure=failure,
            handle=handle,
        )

    async def _freeze(self, effect: CallRuntime, record: Record) -> CallReturned:
        runtime = self._runtime(record)
        work = runtime.pause if effect.kind is OpKind.PAUSE else runtime.resume
        failure: Fault | None = None
        call = Call.ANSWERED
        try:
            await work(record)
        except CallFailed as failed:
            failure, call = failed.fault, failed.call
        except Exception as error:  # noqa: BLE001 - whether it ran is unknown: the call is lost.
            failure, call = _bug(record, error), Call.LOST
        return CallReturned(epoch=effect.epoch, kind=effect.kind, call=call, failure=failure)

    async def _prestop(self, record: Record) -> None:
        """All hooks at once, under one cap; none of them can stop the pause."""
        hooks = [hook for hook in record.spec.prestop if hook.timeout_s > 0]
        if not hooks:
            return
        try:
            async with asyncio.timeout(self.policy.hooks_deadline_s), asyncio.TaskGroup() as group:
                for hook in hooks:
                    group.create_task(self._hook(record, hook))
        except TimeoutError:
            _log.warning("prestop_overdue", sandbox=record.id, hooks=len(hooks))

    async def _hook(self, record: Record, hook: HttpHook) -> None:
        fault = await self.hooks.run(hook, kind="pause")
        if fault is not None:
            _log.warning("prestop_failed", sandbox=record.id, reason=fault.message)

    def _runtime(self, record: Record) -> Runtime:
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
