"""What a request does: begin an operation, accept a deletion, or be refused with a reason."""

from __future__ import annotations

from dataclasses import replace

from cubelet.core.edges import keep, write
from cubelet.core.effects import CallRuntime, Complete, CompleteDeletes, Decision, Destroy, Effect
from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.inputs import (
    Cause,
    CreateRequested,
    DeleteRequested,
    PauseRequested,
    ResumeRequested,
)
from cubelet.core.model import Call, Now, Operation, OpKind, Record
from cubelet.core.table import REQUESTS, Refuse, Request


def create(request: CreateRequested, now: Now) -> Decision:
    """A new record with an open CREATE, on disk before any shim is started."""
    record = Record(
        id=request.id,
        namespace=request.namespace,
        incarnation=request.incarnation,
        spec=request.spec,
        created_at_ns=now.wall_ns,
    )
    return _begin(None, record, OpKind.CREATE, op_id=request.op_id, now=now, synced=True)


def refuse_create(record: Record, request: CreateRequested) -> Decision:
    """The id is taken; nothing happens to its owner."""
    fault = Fault(
        code=Code.ALREADY_EXISTS,
        reason=Reason.SANDBOX_EXISTS,
        message=f"sandbox {record.id} exists already and is {record.state}; choose another id",
    )
    return keep(record, Complete(op_id=request.op_id, fault=fault))


def refuse_unknown(request: PauseRequested | ResumeRequested | DeleteRequested) -> Decision:
    """Nobody has this id (any more)."""
    fault = Fault(
        code=Code.NOT_FOUND,
        reason=Reason.SANDBOX_NOT_FOUND,
        message="no such sandbox; it may have been deleted meanwhile",
    )
    if isinstance(request, DeleteRequested):
        return keep(None, CompleteDeletes(fault=fault))
    return keep(None, Complete(op_id=request.op_id, fault=fault))


def operation(record: Record, request: PauseRequested | ResumeRequested, now: Now) -> Decision:
    """Begin a pause or resume where precondition and table allow it."""
    if request.expected_epoch not in {None, record.epoch}:
        return keep(record, Complete(op_id=request.op_id, fault=_stale(record, request)))
    name = Request.PAUSE if isinstance(request, PauseRequested) else Request.RESUME
    rule = REQUESTS[record.state, name]
    if isinstance(rule, Refuse):
        return keep(record, Complete(op_id=request.op_id, fault=rule.fault(record.id)))
    # A power cut between a restore and its record would let the same image be restored twice, over
    # a disk that has changed since. Frozen processes end with the host, and their intent may too.
    synced = isinstance(request, ResumeRequested) and request.opaque_restore
    return _begin(record, record, rule.kind, op_id=request.op_id, now=now, synced=synced)


def delete(record: Record, request: DeleteRequested, now: Now) -> Decision:
    """Accept the deletion for good, then destroy; a caller of an open operation is told.

    While the create is in flight nothing is destroyed: the call's end does it, so that it cannot
    make again what was just removed.
    """
    creating = _creating(record)
    effects: tuple[Effect, ...] = () if creating else (Destroy(),)
    if record.tombstone_at_ns:
        return keep(record, *effects)
    op = record.open
    if op is not None and not creating:
        if not op.answered:
            effects = (Complete(op_id=op.op_id, fault=_deleted_meanwhile(record)), *effects)
        op = None
    after = replace(record, tombstone_at_ns=now.wall_ns, epoch=record.epoch + 1, open=op)
    return write(
        record,
        after,
        now=now,
        cause=Cause.RPC,
        detail="deletion accepted",
        op_id=request.op_id,
        effects=effects,
    )


def _begin(
    before: Record | None, record: Record, kind: OpKind, *, op_id: str, now: Now, synced: bool
) -> Decision:
    epoch = record.epoch + 1
    op = Operation(op_id=op_id, kind=kind, epoch=epoch, call=Call.IN_FLIGHT, started_at=now)
    return write(
        before,
        replace(record, open=op, epoch=epoch),
        now=now,
        cause=Cause.RPC,
        detail=f"{kind.lower()} requested",
        effects=(CallRuntime(kind=kind, epoch=epoch),),
        synced=synced,
    )


def _creating(record: Record) -> bool:
    op = record.open
    return op is not None and op.kind is OpKind.CREATE and op.call is Call.IN_FLIGHT


def _stale(record: Record, request: PauseRequested | ResumeRequested) -> Fault:
    return Fault(
        code=Code.FAILED_PRECONDITION,
        reason=Reason.STALE_EPOCH,
        message=(
            f"sandbox {record.id} is at epoch {record.epoch}, not {request.expected_epoch}: "
            "something happened to it since; look again before you decide"
        ),
    )


def _deleted_meanwhile(record: Record) -> Fault:
    return Fault(
        code=Code.ABORTED,
        reason=Reason.DELETED_MEANWHILE,
        message=f"sandbox {record.id} was deleted while the operation was open",
    )
