"""How an open operation is judged: too early, on too little, or never."""

from __future__ import annotations

from dataclasses import replace

from cubelet.core import calls, converge, settle, sweep
from cubelet.core.converge import Judgement, Verdict
from cubelet.core.edges import keep, write
from cubelet.core.effects import Arm, Complete, Decision
from cubelet.core.evidence import Status
from cubelet.core.faults import Fault
from cubelet.core.inputs import CallReturned, Cause
from cubelet.core.model import Call, Now, Operation, OpKind, Record
from cubelet.core.policy import Policy
from cubelet.engine import worker
from cubelet.engine.executor import Executor
from tests.sim.mutants.base import Change, mutant


@mutant("R1", "I1")
def late_pause_given_up() -> tuple[Change, ...]:
    """One look that says RUNNING ends a pause whose call may still happen."""
    real = converge.converge_pause

    def hasty(op: Operation, *args: object) -> Judgement:
        return real(replace(op, call=Call.ANSWERED), *args)  # type: ignore[arg-type]

    return (Change(converge, "converge_pause", hasty),)


@mutant("R2", "I1")
def late_resume_given_up() -> tuple[Change, ...]:
    """One look that says PAUSED ends a resume whose call may still happen."""
    real = converge.converge_resume

    def hasty(op: Operation, *args: object) -> Judgement:
        return real(replace(op, call=Call.ANSWERED), *args)  # type: ignore[arg-type]

    return (Change(converge, "converge_resume", hasty),)


def _gives_up() -> Change:
    real = settle.conclude

    def tired(before: Record, after: Record, **rest: object) -> Decision:
        decided = real(before, after, **rest)  # type: ignore[arg-type]
        if before.open is None or before.open.attempt < 3:
            return decided
        kept = tuple(one for one in decided.effects if not isinstance(one, Arm))
        return replace(decided, effects=kept)

    return Change(settle, "conclude", tired)


@mutant("R3", "I1")
def settle_loop_gives_up() -> tuple[Change, ...]:
    """After three looks at an open operation nobody looks again until it is overdue."""
    return (_gives_up(),)


@mutant("R3", "I1")
def nobody_looks_at_the_overdue() -> tuple[Change, ...]:
    """The settle loop gives up, and the sweeper leaves open operations alone, however old."""
    tick = sweep.ticked

    def ticked(record: Record, now: Now, policy: Policy) -> Decision:
        return keep(record) if record.open is not None else tick(record, now, policy)

    return (_gives_up(), Change(sweep, "ticked", ticked))


@mutant("I1")
def no_settle_loop() -> tuple[Change, ...]:
    """After the first look at an open operation no second one is planned."""
    real = worker.Worker._perform

    def idle(self: worker.Worker, effect: object) -> None:
        if not isinstance(effect, Arm):
            real(self, effect)  # type: ignore[arg-type]

    return (Change(worker.Worker, "_perform", idle),)


@mutant("R1", "I1")
def lost_call_taken_for_over() -> tuple[Change, ...]:
    """A connection that broke during a call counts as the shim's answer."""
    real = Executor._until_returned

    async def wrong(self: Executor, *args: object) -> CallReturned:
        return replace(await real(self, *args), call=Call.ANSWERED)  # type: ignore[arg-type]

    return (Change(Executor, "_until_returned", wrong),)


@mutant("R19", "I11")
def failed_call_taken_for_undone() -> tuple[Change, ...]:
    """A call that failed is taken to have done nothing; the shim is not asked."""
    real = calls._failed

    def credulous(record: Record, op: Operation, now: Now) -> Decision:
        if op.kind not in {OpKind.PAUSE, OpKind.RESUME} or op.call is not Call.ANSWERED:
            return real(record, op, now)
        undone = replace(record, open=None)
        told = (Complete(op_id=op.op_id, fault=op.failure),)
        detail = "failed, so not done"
        return write(record, undone, now=now, cause=Cause.RPC, detail=detail, effects=told)

    return (Change(calls, "_failed", credulous),)


@mutant("R19", "I8")
def failure_told_as_success() -> tuple[Change, ...]:
    """A call that failed is answered OK, where a look finds the target reached."""
    real = settle._told

    def kind(op: Operation, after: Record, verdict: Verdict) -> Fault | None:
        return None if verdict is Verdict.REACHED else real(op, after, verdict)

    return (Change(settle, "_told", kind),)


@mutant("I1")
def sightings_need_no_time_between() -> tuple[Change, ...]:
    """Two contradicting answers end a lost call, however close to each other."""
    real = converge._contradicted

    def hasty(op: Operation, now: Now, policy: Policy) -> Judgement:
        return real(op, now, replace(policy, settle_s=0.0))

    return (Change(converge, "_contradicted", hasty),)


@mutant("I1")
def overdue_never_judged() -> tuple[Change, ...]:
    """A call that never ends leaves its operation open for ever."""
    return (Change(converge, "past_stuck", lambda *_: False),)


@mutant("R3", "I1")
def pausing_taken_for_running() -> tuple[Change, ...]:
    """A shim that says PAUSING is taken to say that the pause did not happen."""
    back = converge._PAUSE_BACK | {Status.PAUSING}
    return (Change(converge, "_PAUSE_BACK", back),)
