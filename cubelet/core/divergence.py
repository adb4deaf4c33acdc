"""Shim and second witness disagree: shown, never acted upon, unless the trace is our own.

A runc that is killed in the middle leaves such a trace: the shim says RUNNING over frozen
processes, or PAUSED over running ones (seen with containerd 1.6). Where the agent died or lost its
connection during the operation, the trace is known to be ours, and is mended past the shim;
whatever a stranger did is only shown, and `repair` mends it for who asks.
"""

from __future__ import annotations

from dataclasses import replace

from cubelet.core.calls import reached
from cubelet.core.converge import Verdict, past_stuck
from cubelet.core.edges import keep, write
from cubelet.core.effects import Arm, Complete, Decision, Effect, Heal, Query
from cubelet.core.evidence import Contradicted, Status, describe
from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.inputs import Cause, HealEnded, RepairRequested
from cubelet.core.model import Call, Divergence, Now, Operation, OpKind, Record
from cubelet.core.policy import Policy
from cubelet.core.requests import refused
from cubelet.core.settle import conclude, restarted
from cubelet.core.table import BUSY

#: How often the agent tries to mend its own trace before it only shows it.
HEALS_MAX = 3
#: The share of settle_s after which a disagreement lasts: two rounds are that far apart but for the
#: time that an answer takes.
_LASTING = 0.9
#: What an operation of ours leaves behind when it is cut short after the kernel has done its part.
_TRACES = {(OpKind.PAUSE, Status.RUNNING, True), (OpKind.RESUME, Status.PAUSED, False)}


def contradicted(
    before: Record,
    seen: Record,
    evidence: Contradicted,
    *,
    cause: Cause,
    now: Now,
    policy: Policy,
) -> Decision:
    """Note the disagreement; once it lasts, show it, or mend it where it is our own trace."""
    split = _noted(seen.diverged, evidence, now)
    age_s = now.mono_s - split.since.mono_s
    lasting = split.seen > 1 and age_s >= _LASTING * policy.settle_s
    op = seen.open
    if op is None:
        return _shown(before, seen, split, evidence, cause=cause, now=now, lasting=lasting)
    noted = replace(seen, diverged=split)
    if lasting and _is_own_trace(op, evidence):
        return _heal(before, noted, op, evidence, cause=cause, now=now)
    verdict = Verdict.OPEN
    if lasting and _is_over(op, now, policy):
        shown = replace(seen, diverged=replace(split, shown=True))
        verdict, noted = _decided(shown, op, now)
    return conclude(
        before, noted, verdict=verdict, cause=cause, evidence=evidence, now=now, policy=policy
    )


def _decided(shown: Record, op: Operation, now: Now) -> tuple[Verdict, Record]:
    """The operation's end in spite of the disagreement: frozen or not, what was created lives."""
    if op.kind is OpKind.CREATE:
        return Verdict.REACHED, reached(shown, op, now)
    return Verdict.NOT_REACHED, replace(shown, open=None)


def was_shown(record: Record) -> bool:
    """Whether the record has the condition DIVERGED."""
    return record.diverged is not None and record.diverged.shown


def repair(record: Record, request: RepairRequested, now: Now) -> Decision:
    """Mend what is seen to disagree now, whoever did it."""
    op = record.open
    if op is not None and op.call is Call.IN_FLIGHT:
        return refused(record, request, BUSY[op.kind].fault(record.id))
    if record.diverged is None or record.tombstone_at_ns or record.finished_at_ns:
        text = f"shim and kernel agree about sandbox {record.id}: there is nothing to repair"
        fault = Fault(code=Code.FAILED_PRECONDITION, reason=Reason.NOT_DIVERGED, message=text)
        return refused(record, request, fault)
    frozen = record.diverged.says is Status.PAUSED
    return write(
        record,
        record,
        now=now,
        cause=Cause.RPC,
        detail=f"repair requested: to be {_doing(frozen=frozen)} past the shim",
        op_id=request.op_id,
        effects=(Heal(frozen=frozen, op_id=request.op_id),),
    )


def heal_ended(record: Record, happened: HealEnded, now: Now, policy: Policy) -> Decision:
    """Ask the shim what is true now; a caller who asked for it is told of a failure."""
    answer: tuple[Effect, ...] = ()
    if happened.op_id:
        answer = (Complete(op_id=happened.op_id, fault=happened.failure),)
    op = record.open
    overtaken = happened.epoch != record.epoch or (op is not None and op.call is Call.IN_FLIGHT)
    if overtaken or record.tombstone_at_ns or record.finished_at_ns:
        return keep(record, *answer)
    if happened.failure is not None:
        after, detail = record, f"could not be put in agreement: {happened.failure.message}"
        effects = (*answer, *_again(record, policy))
    else:
        after, detail = _mended(record), "put in agreement with its shim, past it"
        effects = (*answer, Query(cause=Cause.SETTLE))
    return write(
        record,
        after,
        now=now,
        cause=Cause.RPC if happened.op_id else Cause.SETTLE,
        detail=detail,
        op_id=happened.op_id,
        effects=effects,
    )


def _mended(record: Record) -> Record:
    """Whatever left that trace is over: it has happened, and cannot happen again."""
    op = record.open
    over = op and replace(op, call=Call.ANSWERED, failure=op.failure or restarted(op))
    return replace(record, diverged=None, open=over)


def _again(record: Record, policy: Policy) -> tuple[Effect, ...]:
    """An open operation goes on being asked about; a divergence without one is the relist's."""
    return (Arm(delay_s=policy.settle_max_s),) if record.open else ()


def _noted(known: Divergence | None, evidence: Contradicted, now: Now) -> Divergence:
    if known is None or (known.says, known.frozen) != (evidence.says, evidence.frozen):
        return Divergence(says=evidence.says, frozen=evidence.frozen, since=now)
    return replace(known, seen=known.seen + 1)


def _shown(
    before: Record,
    seen: Record,
    split: Divergence,
    evidence: Contradicted,
    *,
    cause: Cause,
    now: Now,
    lasting: bool,
) -> Decision:
    """No operation of ours is open: a stranger's doing."""
    if split.shown or not lasting:
        return keep(replace(seen, diverged=split))
    after = replace(seen, diverged=replace(split, shown=True))
    return write(before, after, now=now, cause=cause, detail=f"diverged: {describe(evidence)}")


def _is_own_trace(op: Operation, evidence: Contradicted) -> bool:
    trace = (op.kind, evidence.says, evidence.frozen)
    return op.call is Call.LOST and trace in _TRACES and op.heals < HEALS_MAX


def _is_over(op: Operation, now: Now, policy: Policy) -> bool:
    """Whether nothing of the call can still happen, or it is past all patience."""
    return past_stuck(op, now, policy) or op.call is Call.ANSWERED


def _heal(
    before: Record,
    noted: Record,
    op: Operation,
    evidence: Contradicted,
    *,
    cause: Cause,
    now: Now,
) -> Decision:
    frozen = evidence.says is Status.PAUSED
    trying = replace(noted, open=replace(op, heals=op.heals + 1))
    return write(
        before,
        trying,
        now=now,
        cause=cause,
        detail=f"our own trace: {describe(evidence)}; to be {_doing(frozen=frozen)} past the shim",
        op_id=op.op_id,
        effects=(Heal(frozen=frozen),),
    )


def _doing(*, frozen: bool) -> str:
    return "frozen" if frozen else "thawed"
