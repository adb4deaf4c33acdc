"""How a sandbox ends: by evidence, by a deletion that wins over everything, by its time."""

from __future__ import annotations

from dataclasses import replace

from cubelet.core import keys
from cubelet.core.edges import keep, write
from cubelet.core.effects import (
    Complete,
    CompleteDeletes,
    Decision,
    Destroy,
    Effect,
    Forget,
)
from cubelet.core.evidence import Ended, Evidence, describe
from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.inputs import Cause, DeleteRequested, DestroyEnded
from cubelet.core.model import Call, Now, OpKind, Outcome, Record


def ended(record: Record, evidence: Evidence, now: Now) -> Record:
    """The record once there is positive evidence of the end."""
    over = replace(record, open=None, diverged=None, finished_mono_s=now.mono_s)
    if isinstance(evidence, Ended):
        stamp = evidence.finished_at_ns or now.wall_ns
        return replace(over, finished_at_ns=stamp, exit_code=evidence.exit_code)
    return replace(over, finished_at_ns=now.wall_ns, exit_reason=describe(evidence))


def delete(record: Record, request: DeleteRequested, now: Now) -> Decision:
    """Accept the deletion for good, then destroy; a caller of an open operation is told.

    While the create is in flight nothing is destroyed: the call's end does it, so that it cannot
    make again what was just removed.
    """
    creating = _creating(record)
    effects: tuple[Effect, ...] = () if creating else (Destroy(),)
    waiting = keys.with_key(record.delete_keys, request.key)
    after = replace(record, delete_keys=waiting[: keys.KEYS_MAX])
    if record.tombstone_at_ns:
        return _again(record, after, request, now, effects)
    outcomes: tuple[Outcome, ...] = ()
    op = record.open
    if op is not None and not creating:
        fault = op.failure if op.answered and op.failure else _deleted_meanwhile(record)
        if not op.answered:
            effects = (Complete(op_id=op.op_id, fault=fault), *effects)
        if not op.noted:
            outcomes = keys.answers(op, sandbox_id=record.id, now=now, fault=fault, record=None)
        op = None
    after = replace(after, tombstone_at_ns=now.wall_ns, epoch=record.epoch + 1, open=op)
    return write(
        record,
        after,
        now=now,
        cause=Cause.RPC,
        detail="deletion accepted",
        op_id=request.op_id,
        effects=effects,
        outcomes=outcomes,
    )


def _again(
    record: Record,
    after: Record,
    request: DeleteRequested,
    now: Now,
    effects: tuple[Effect, ...],
) -> Decision:
    """Another one waits for the same end; only its key is news."""
    if after.delete_keys == record.delete_keys:
        return keep(record, *effects)
    detail = "deletion asked for again"
    return write(
        record,
        after,
        now=now,
        cause=Cause.RPC,
        detail=detail,
        op_id=request.op_id,
        effects=effects,
    )


def expire(record: Record, now: Now, *, ttl_s: float) -> Decision:
    """Let a dead record go, with what it left on disk, once its time is over.

    What a restart of the host left is removed before, again where that failed.
    """
    if now.mono_s - record.finished_mono_s < ttl_s:
        return keep(record, Destroy()) if record.leftovers else keep(record)
    after = replace(record, tombstone_at_ns=now.wall_ns, epoch=record.epoch + 1)
    detail = f"it ended more than {ttl_s:g} s ago"
    return write(record, after, now=now, cause=Cause.SWEEP, detail=detail, effects=(Destroy(),))


def undo_create(record: Record, now: Now, cause: Cause) -> Decision:
    """A create that failed leaves nothing: nobody has been told that there is a sandbox."""
    failure = record.open.failure if record.open else None
    detail = f"create failed: {failure.message if failure else 'no reason known'}"
    after = replace(record, tombstone_at_ns=now.wall_ns)
    return write(record, after, now=now, cause=cause, detail=detail, effects=(Destroy(),))


def destroy_ended(record: Record, happened: DestroyEnded, now: Now) -> Decision:
    """A deleted sandbox is forgotten once nothing of it is left; else the record says why."""
    if not record.tombstone_at_ns:
        return _swept(record, happened, now)
    op, failure = record.open, happened.failure
    effects: tuple[Effect, ...] = (CompleteDeletes(fault=failure),)
    outcomes: tuple[Outcome, ...] = ()
    if op is not None:
        effects = (Complete(op_id=op.op_id, fault=op.failure), *effects)
        outcomes = keys.answers(op, sandbox_id=record.id, now=now, fault=op.failure, record=None)
    if failure is None:
        outcomes = (*outcomes, *_deleted(record, now))
        gone = write(record, record, now=now, cause=Cause.RPC, detail="removed", outcomes=outcomes)
        return replace(gone, record=None, effects=(Forget(), *effects))
    if record.delete_failure == failure and op is None:
        return keep(record, *effects)
    after = replace(record, open=None, delete_failure=failure)
    detail = f"could not be removed: {failure.message}"
    return write(
        record,
        after,
        now=now,
        cause=Cause.RPC,
        detail=detail,
        effects=effects,
        outcomes=outcomes,
    )


def _swept(record: Record, happened: DestroyEnded, now: Now) -> Decision:
    """A dead sandbox of an earlier boot has left nothing any more; its record stays its time."""
    if not record.leftovers or happened.failure is not None:
        return keep(record)
    after = replace(record, leftovers=False)
    detail = "what it left on disk was removed"
    return write(record, after, now=now, cause=Cause.RECOVERY, detail=detail, synced=False)


def deleted_while_created(record: Record) -> Fault:
    """What the caller of such a create is told."""
    return Fault(
        code=Code.ABORTED,
        reason=Reason.DELETED_MEANWHILE,
        message=f"sandbox {record.id} was deleted while it was being created",
    )


def _deleted(record: Record, now: Now) -> tuple[Outcome, ...]:
    return tuple(
        Outcome(sandbox_id=record.id, key=key, op_id="", at_ns=now.wall_ns)
        for key in record.delete_keys
    )


def _creating(record: Record) -> bool:
    op = record.open
    return op is not None and op.kind is OpKind.CREATE and op.call is Call.IN_FLIGHT


def _deleted_meanwhile(record: Record) -> Fault:
    return Fault(
        code=Code.ABORTED,
        reason=Reason.DELETED_MEANWHILE,
        message=f"sandbox {record.id} was deleted while the operation was open",
    )
