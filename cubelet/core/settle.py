"""How an operation ends: by its call's answer, by evidence, or by a restart of the agent."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from cubelet.core.converge import Judgement, Verdict, converge_pause, converge_resume
from cubelet.core.edges import keep, write
from cubelet.core.effects import (
    Complete,
    CompleteDeletes,
    Decision,
    Destroy,
    Effect,
    Forget,
    Query,
)
from cubelet.core.evidence import Alive, Ended, Evidence, Gone, NoAnswer, Status, describe
from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.inputs import CallOverdue, CallReturned, Cause, DestroyEnded, Observed
from cubelet.core.model import Call, LastSeen, Now, Operation, OpKind, Record
from cubelet.core.policy import Policy


def overdue(record: Record, happened: CallOverdue, now: Now) -> Decision:
    """Stop waiting for the call, and ask the shim what is true."""
    op = record.open
    if op is None or op.epoch != happened.epoch or op.call is not Call.IN_FLIGHT:
        return keep(record)
    fault = Fault(
        code=Code.DEADLINE_EXCEEDED,
        reason=Reason.RUNTIME_DEADLINE,
        message=f"the runtime gave no answer within {happened.deadline_s:g} s",
    )
    return _failed(record, replace(op, call=Call.ABANDONED, failure=fault), now)


def returned(record: Record, happened: CallReturned, now: Now) -> Decision:
    """The call ended: in time it decides or fails the operation, late it is a reason to look."""
    op = record.open
    if op is None or op.epoch != happened.epoch:
        return keep(record)
    if op.call is Call.IN_FLIGHT:
        if happened.failure is None:
            return _succeeded(record, op, happened, now)
        return _failed(record, replace(op, call=happened.call, failure=happened.failure), now)
    if op.call is not Call.ABANDONED:
        return keep(record)
    # What was seen while the call could still happen does not count against it any more.
    late = replace(op, call=happened.call, contradicted_mono_s=None)
    return keep(replace(record, open=late), Query(cause=Cause.SETTLE))


def not_written(record: Record, happened: CallReturned, fault: Fault) -> Record:
    """What is kept in memory where the store refused the outcome of a call.

    The call is over, its caller was told of the store's failure, and on disk the operation is
    still open; the next look at the shim settles it once the store works again.
    """
    op = record.open
    if op is None or op.epoch != happened.epoch:
        return record
    over = replace(op, call=happened.call, failure=happened.failure or fault, answered=True)
    return replace(record, open=over, handle=happened.handle or record.handle)


def observed(record: Record, happened: Observed, now: Now, policy: Policy) -> Decision:
    """Apply an answer, if what it was asked about is still so; the waiting caller learns anyhow."""
    op = record.open
    in_flight = op is not None and op.call is Call.IN_FLIGHT
    if in_flight or record.tombstone_at_ns or record.finished_at_ns:
        return keep(record)
    asked = (happened.epoch, happened.incarnation, happened.call)
    fresh = asked == (record.epoch, record.incarnation, op.call if op else None)
    if op is None:
        return _steady(record, happened, now) if fresh else keep(record)
    evidence = happened.evidence if fresh else NoAnswer(why="the answer was overtaken")
    seen = _seen(record, happened, now) if fresh else record
    return _judge(seen, op, evidence, now=now, policy=policy, cause=happened.cause)


def destroy_ended(record: Record, happened: DestroyEnded, now: Now) -> Decision:
    """A deleted sandbox is forgotten once nothing of it is left; else the record says why."""
    if not record.tombstone_at_ns:
        return keep(record)
    op = record.open
    answers: tuple[Effect, ...] = (CompleteDeletes(fault=happened.failure),)
    if op is not None:
        answers = (Complete(op_id=op.op_id, fault=op.failure), *answers)
    if happened.failure is None:
        gone = write(record, record, now=now, cause=Cause.RPC, detail="removed")
        return replace(gone, record=None, effects=(Forget(), *answers))
    after = replace(record, open=None, delete_failure=happened.failure)
    detail = f"could not be removed: {happened.failure.message}"
    return write(record, after, now=now, cause=Cause.RPC, detail=detail, effects=answers)


def recovered(record: Record, now: Now) -> Decision:
    """Take over a record that another agent left: its calls are lost, its shims may live."""
    op = record.open
    if record.tombstone_at_ns:
        return keep(record, Destroy())
    if record.finished_at_ns:
        return keep(record)
    if op is None:
        return keep(record, Query(cause=Cause.RECOVERY))
    fault = op.failure or _restarted(op)
    lost = replace(op, call=Call.LOST, failure=fault, answered=True, contradicted_mono_s=None)
    if op.kind is OpKind.CREATE:
        return _undo_create(replace(record, open=lost), now, Cause.RECOVERY)
    return keep(replace(record, open=lost), Query(cause=Cause.RECOVERY))


def _succeeded(record: Record, op: Operation, happened: CallReturned, now: Now) -> Decision:
    done = Complete(op_id=op.op_id)
    if record.tombstone_at_ns:
        # Deleted while it was being created: nothing came of it, and nothing of it may stay.
        fault = _deleted_while_created(record)
        left = replace(record, handle=happened.handle, open=replace(op, failure=fault))
        return keep(left, Destroy())
    after = _reached(record, op, now)
    if happened.handle is not None:
        after = replace(after, handle=happened.handle)
    detail = f"{op.kind.lower()} done"
    return write(
        record, after, now=now, cause=Cause.RPC, detail=detail, op_id=op.op_id, effects=(done,)
    )


def _failed(record: Record, op: Operation, now: Now) -> Decision:
    """The call failed or was given up: a create is undone, of the others the truth is asked."""
    failed = replace(record, open=op)
    if op.kind is OpKind.CREATE:
        if record.tombstone_at_ns:
            return keep(failed, Destroy())
        return _undo_create(failed, now, Cause.RPC)
    return keep(failed, Query(cause=Cause.RPC))


def _undo_create(record: Record, now: Now, cause: Cause) -> Decision:
    failure = record.open.failure if record.open else None
    detail = f"create failed: {failure.message if failure else 'no reason known'}"
    after = replace(record, tombstone_at_ns=now.wall_ns)
    return write(record, after, now=now, cause=cause, detail=detail, effects=(Destroy(),))


def _judge(
    record: Record,
    op: Operation,
    evidence: Evidence,
    *,
    now: Now,
    policy: Policy,
    cause: Cause,
) -> Decision:
    rule = converge_pause if op.kind is OpKind.PAUSE else converge_resume
    judgement = rule(op, evidence, now, policy)
    after = _settled(record, op, judgement, evidence, now)
    answers: tuple[Effect, ...] = ()
    if not op.answered:
        answers = (Complete(op_id=op.op_id, fault=_told(op, after)),)
        after = _mark_answered(after)
    if after.open is not None and op.answered:
        return keep(after)
    return write(
        record,
        after,
        now=now,
        cause=cause,
        detail=f"{op.kind.lower()} {judgement.verdict.value}: {describe(evidence)}",
        op_id=op.op_id,
        effects=answers,
    )


def _settled(
    record: Record, op: Operation, judgement: Judgement, evidence: Evidence, now: Now
) -> Record:
    match judgement.verdict:
        case Verdict.REACHED:
            return _reached(record, op, now)
        case Verdict.NOT_REACHED:
            return replace(record, open=None)
        case Verdict.ENDED:
            return _ended(record, evidence, now)
        case Verdict.OPEN:
            still = replace(op, contradicted_mono_s=judgement.contradicted_mono_s)
            return replace(record, open=still)
        case _ as unreachable:
            assert_never(unreachable)


def _reached(record: Record, op: Operation, now: Now) -> Record:
    """The record once the operation's target is true; the wall stamps say since when we know."""
    match op.kind:
        case OpKind.CREATE:
            return replace(record, open=None, started_at_ns=now.wall_ns)
        case OpKind.PAUSE:
            return replace(record, open=None, paused_at_ns=now.wall_ns)
        case OpKind.RESUME:
            return replace(record, open=None, paused_at_ns=0)
        case _ as unreachable:
            assert_never(unreachable)


def _steady(record: Record, happened: Observed, now: Now) -> Decision:
    """No operation is open: follow what the shim says of a pause or an end that was not ours."""
    seen = _seen(record, happened, now)
    match happened.evidence:
        case Ended() | Gone():
            after = _ended(seen, happened.evidence, now)
        case Alive(status=Status.PAUSED) if not record.paused_at_ns:
            after = replace(seen, paused_at_ns=now.wall_ns)
        case Alive(status=Status.RUNNING) if record.paused_at_ns:
            after = replace(seen, paused_at_ns=0)
        case _:
            return keep(seen)
    detail = f"not by us: {describe(happened.evidence)}"
    return write(record, after, now=now, cause=happened.cause, detail=detail)


def _ended(record: Record, evidence: Evidence, now: Now) -> Record:
    if isinstance(evidence, Ended):
        stamp = evidence.finished_at_ns or now.wall_ns
        return replace(record, open=None, finished_at_ns=stamp, exit_code=evidence.exit_code)
    return replace(record, open=None, finished_at_ns=now.wall_ns, exit_reason=describe(evidence))


def _seen(record: Record, happened: Observed, now: Now) -> Record:
    told = LastSeen(evidence=describe(happened.evidence), cause=happened.cause, at=now)
    return replace(record, last_seen=told)


def _mark_answered(record: Record) -> Record:
    if record.open is None:
        return record
    return replace(record, open=replace(record.open, answered=True))


def _told(op: Operation, after: Record) -> Fault:
    """What the caller of a failed call is told: always the failure, then what is known to be so."""
    assert op.failure is not None  # noqa: S101 - only a failed call is judged by evidence.
    known = (
        f"it is {after.state}"
        if after.open is None
        else f"its outcome is open and it shows as {after.state} until the shim tells"
    )
    message = f"{op.kind.lower()} of sandbox {after.id} failed: {op.failure.message}; {known}"
    return replace(op.failure, message=message)


def _restarted(op: Operation) -> Fault:
    return Fault(
        code=Code.UNAVAILABLE,
        reason=Reason.AGENT_RESTARTED,
        message=f"the agent was restarted during the {op.kind.lower()}",
    )


def _deleted_while_created(record: Record) -> Fault:
    return Fault(
        code=Code.ABORTED,
        reason=Reason.DELETED_MEANWHILE,
        message=f"sandbox {record.id} was deleted while it was being created",
    )
