"""How a runtime call ends: in time, too late for its caller, or without anybody knowing."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from cubelet.core import keys
from cubelet.core.bindings import (
    INVALID_BASE,
    Binding,
    Bindings,
    CommitPlan,
    Mode,
    Snapshot,
    bound_to,
)
from cubelet.core.edges import keep, write
from cubelet.core.effects import CallRuntime, Complete, Decision, Destroy, Query
from cubelet.core.endings import deleted_while_created, undo_create
from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.inputs import CallOverdue, CallReturned, Cause
from cubelet.core.model import Call, Now, Operation, OpKind, Record


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
        if happened.failure.reason is Reason.SNAPSHOT_NOT_FOUND and op.plan and op.plan.base_id:
            return _without_base(record, op, op.plan, now)
        if happened.failure.reason is Reason.STALE_BASE:
            # The runtime has seen a restore that we have not: the next commit is a full one.
            record = replace(record, bindings=record.bindings.invalidated(now.wall_ns))
        return _failed(record, replace(op, call=happened.call, failure=happened.failure), now)
    if op.call is not Call.ABANDONED:
        return keep(record)
    # What was seen while the call could still happen does not count against it any more.
    late = replace(op, call=happened.call, contradicted_mono_s=None)
    return keep(replace(record, open=late), Query(cause=Cause.SETTLE))


def not_written(record: Record, happened: CallReturned, fault: Fault) -> Record:
    """What is kept in memory where the store refused the outcome of a call.

    The call is over, its caller is told of the store's failure, and on disk the operation is still
    open; the next look at the shim settles it once the store works again.
    """
    op = record.open
    if op is None or op.epoch != happened.epoch:
        return record
    if happened.failure is not None:
        # Not that failure itself: nothing on disk would know it, if the same key asks again.
        fault = replace(fault, message=f"{fault.message}; before that: {happened.failure.message}")
    over = replace(op, call=happened.call, failure=fault, answered=True)
    return replace(record, open=over, handle=happened.handle or record.handle)


def reached(record: Record, op: Operation, now: Now) -> Record:
    """The record once the operation's target is true; the wall stamps say since when we know."""
    match op.kind:
        case OpKind.CREATE:
            return replace(record, open=None, started_at_ns=now.wall_ns)
        case OpKind.PAUSE:
            return replace(record, open=None, paused_at_ns=now.wall_ns)
        case OpKind.RESUME:
            return replace(record, open=None, paused_at_ns=0)
        case OpKind.COMMIT | OpKind.ROLLBACK:
            return replace(record, open=None)
        case _ as unreachable:
            assert_never(unreachable)


def _succeeded(record: Record, op: Operation, happened: CallReturned, now: Now) -> Decision:
    done = Complete(op_id=op.op_id)
    if record.tombstone_at_ns:
        # Deleted while it was being created: nothing came of it, and nothing of it may stay.
        fault = deleted_while_created(record)
        over = replace(op, call=happened.call, failure=fault)
        return keep(replace(record, handle=happened.handle, open=over), Destroy())
    after = reached(record, op, now)
    if op.kind not in {OpKind.PAUSE, OpKind.RESUME}:
        after = replace(
            after,
            handle=happened.handle or record.handle,
            bindings=_bindings_after(record, op, happened, now),
        )
    return write(
        record,
        after,
        now=now,
        cause=Cause.RPC,
        detail=f"{op.kind.lower()} done",
        op_id=op.op_id,
        effects=(done,),
        outcomes=keys.answers(op, sandbox_id=record.id, now=now, fault=None, record=after),
        snapshots=_snapshots_of(record, op, happened, now),
    )


def _bindings_after(record: Record, op: Operation, happened: CallReturned, now: Now) -> Bindings:
    """What the memory is an increment of after a create, a rollback, or else a commit."""
    at_ns, generation = now.wall_ns, happened.generation
    match op.kind:
        case OpKind.CREATE if record.spec.snapshot:
            return bound_to(record.spec.snapshot, at_ns=at_ns, generation=_at_create(happened))
        case OpKind.CREATE:
            return Bindings(generation=_at_create(happened))
        case OpKind.ROLLBACK:
            return bound_to(op.snapshot_id, at_ns=at_ns, generation=generation)
        case _:
            before = record.bindings
            # A restore that nobody told us of: the full commit was right, the old restore is not.
            restore = before.restore if before.generation == generation else _sentinel(at_ns)
            taken = Binding(snapshot_id=op.snapshot_id, attached_at_ns=at_ns)
            return Bindings(runtime=taken, restore=restore, generation=generation)


def _at_create(happened: CallReturned) -> int:
    return happened.handle.generation if happened.handle else 0


def _sentinel(at_ns: int) -> Binding:
    return Binding(snapshot_id=INVALID_BASE, attached_at_ns=at_ns)


def _snapshots_of(
    record: Record, op: Operation, happened: CallReturned, now: Now
) -> tuple[Snapshot, ...]:
    if op.plan is None:
        return ()
    return (
        Snapshot(
            id=op.snapshot_id,
            runtime=record.spec.runtime,
            sandbox_id=record.id,
            incarnation=record.incarnation,
            path=happened.path,
            mode=op.plan.mode,
            base_id=op.plan.base_id,
            generation=happened.generation,
            created_at_ns=now.wall_ns,
        ),
    )


def _without_base(record: Record, op: Operation, plan: CommitPlan, now: Now) -> Decision:
    """What was to be built upon is in the catalog, but no longer on disk: take all instead."""
    epoch = record.epoch + 1
    full = CommitPlan(snapshot_id=plan.snapshot_id, mode=Mode.FULL)
    return write(
        record,
        replace(record, epoch=epoch, open=replace(op, epoch=epoch, plan=full)),
        now=now,
        cause=Cause.RPC,
        detail=f"base {plan.base_id} is gone; a full snapshot is taken instead",
        op_id=op.op_id,
        effects=(CallRuntime(kind=op.kind, epoch=epoch),),
    )


def _failed(record: Record, op: Operation, now: Now) -> Decision:
    """The call failed or was given up: a create is undone, of the others the truth is asked."""
    failed = replace(record, open=op)
    if op.kind is OpKind.CREATE:
        if record.tombstone_at_ns:
            return keep(failed, Destroy())
        return undo_create(failed, now, Cause.RPC)
    return keep(failed, Query(cause=Cause.RPC))
