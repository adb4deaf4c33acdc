"""Durations that are taken from the wall clock, or from a clock of before the reboot."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from cubelet.core import conditions, converge, divergence, recovery, sweep
from cubelet.core.edges import keep
from cubelet.core.effects import CallRuntime, Decision
from cubelet.core.endings import expire
from cubelet.core.inputs import CallOverdue, Recovered
from cubelet.core.model import Now, Operation, OpKind, Record
from cubelet.core.policy import Policy, call_limit_s
from cubelet.engine.errands import RuntimeEffect
from cubelet.engine.worker import Worker
from tests.sim.mutants.base import Change, mutant


@mutant("R17", "I20")
def overdue_by_the_wall_clock() -> tuple[Change, ...]:
    """How long an operation is open is measured by the wall clock."""
    real = converge.past_stuck

    def walled(op: Operation, now: Now, policy: Policy) -> bool:
        begun = replace(op.started_at, mono_s=op.started_at.wall_ns / 1e9)
        return real(replace(op, started_at=begun), replace(now, mono_s=now.wall_ns / 1e9), policy)

    return tuple(
        Change(place, "past_stuck", walled) for place in (converge, conditions, divergence)
    )


@mutant("R17", "I20")
def dead_ttl_by_the_wall_clock() -> tuple[Change, ...]:
    """The age of a dead record is measured by the wall clock."""
    real = expire

    def walled(record: Record, now: Now, *, ttl_s: float) -> Decision:
        age_s = (now.wall_ns - record.finished_at_ns) / 1e9
        aged = replace(record, finished_mono_s=now.mono_s - age_s)
        decided = real(aged, now, ttl_s=ttl_s)
        return decided if decided.persist else keep(record)

    return (Change(sweep, "expire", walled),)


@mutant("R17", "I20")
def deadline_by_the_wall_clock() -> tuple[Change, ...]:
    """A call is given up when the wall clock says that its time is over."""
    real = Worker._start

    def walled(self: Worker, effect: RuntimeEffect) -> None:
        real(self, effect)
        if isinstance(effect, CallRuntime) and effect.kind is not OpKind.CREATE:
            self._around.supervisor.spawn(_watch(self, effect), name="wall")

    return (Change(Worker, "_start", walled),)


async def _watch(worker: Worker, effect: CallRuntime) -> None:
    clock = worker._around.clock
    begun_ns, deadline_s = (
        clock.now().wall_ns,
        call_limit_s(effect.kind, worker._around.executor.policy),
    )
    while worker._is_open(effect.epoch):
        if clock.now().wall_ns - begun_ns >= deadline_s * 1e9:
            worker.post(CallOverdue(epoch=effect.epoch, deadline_s=deadline_s))
            return
        await asyncio.sleep(0.5)


@mutant("R17", "I20")
def stamps_from_the_future_kept() -> tuple[Change, ...]:
    """After a reboot the stamps of the old uptime are kept, though they lie in the future."""

    def far(record: Record, happened: Recovered, now: Now, policy: Policy) -> Decision:
        return real(record, happened, replace(now, mono_s=1e12), policy)

    real = recovery.recovered
    return (Change(recovery, "recovered", far),)


@mutant("I20", "I22")
def dead_records_kept_for_ever() -> tuple[Change, ...]:
    """The record of an ended sandbox never goes."""
    return (Change(sweep, "expire", lambda record, *_, **__: keep(record)),)


@mutant("I20")
def dead_records_go_at_once() -> tuple[Change, ...]:
    """The record of an ended sandbox goes with the next round, whatever its time to live."""
    real = expire

    def hasty(record: Record, now: Now, *, ttl_s: float) -> Decision:
        return real(record, now, ttl_s=0.0)

    return (Change(sweep, "expire", hasty),)
