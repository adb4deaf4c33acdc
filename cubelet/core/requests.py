"""What a request does: begin an operation, join one, or be refused with a reason."""

from __future__ import annotations

from dataclasses import replace

from cubelet.core import keys
from cubelet.core.bindings import CommitPlan, Snapshot
from cubelet.core.edges import keep, write
from cubelet.core.effects import CallRuntime, Complete, Decision
from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.inputs import (
    Asked,
    Cause,
    CreateRequested,
    Expected,
    PauseRequested,
    Request,
    ResumeRequested,
)
from cubelet.core.model import Call, Now, Operation, OpKind, Record
from cubelet.core.table import Join, Refuse, Verb, rule_for


def create(request: CreateRequested, now: Now) -> Decision:
    """A new record with an open CREATE, on disk before any shim is started."""
    record = Record(
        id=request.id,
        namespace=request.namespace,
        incarnation=request.incarnation,
        spec=request.spec,
        created_at_ns=now.wall_ns,
        opaque_restore=request.opaque_restore,
        boot_id=request.boot_id,
    )
    return begin(None, record, OpKind.CREATE, request=request, now=now)


def refuse_create(record: Record, request: CreateRequested) -> Decision:
    """The id is taken; nothing happens to its owner."""
    fault = Fault(
        code=Code.ALREADY_EXISTS,
        reason=Reason.SANDBOX_EXISTS,
        message=f"sandbox {record.id} exists already and is {record.state}; choose another id",
    )
    return refused(record, request, fault)


def refuse_unknown(request: Request) -> Decision:
    """Nobody has this id (any more)."""
    fault = Fault(
        code=Code.NOT_FOUND,
        reason=Reason.SANDBOX_NOT_FOUND,
        message="no such sandbox; it may have been deleted meanwhile",
    )
    return refused(None, request, fault)


def operation(record: Record, request: PauseRequested | ResumeRequested, now: Now) -> Decision:
    """Begin a pause or resume where precondition and table allow it."""
    unmet = _unmet(record, request.expected)
    if unmet is not None:
        return refused(record, request, unmet)
    verb = Verb.PAUSE if isinstance(request, PauseRequested) else Verb.RESUME
    rule = rule_for(record, verb)
    if isinstance(rule, Join):
        assert record.open is not None  # noqa: S101 - the states that join have an operation.
        joined = keys.join(record, record.open, request)
        return joined or refused(record, request, rule.otherwise.fault(record.id))
    if isinstance(rule, Refuse):
        return refused(record, request, rule.fault(record.id))
    if rule.kind is OpKind.RESUME and record.opaque_restore:
        # Before the shim is asked: whatever becomes of the call, no commit builds on the old base.
        # And on disk for good: a power cut between a restore and its record would let the same
        # image be restored twice, over a disk that has changed since.
        invalid = _invalidated(record, now)
        return begin(record, invalid, rule.kind, request=request, now=now)
    # Frozen processes end with the host, and the intent to freeze or thaw them may too.
    return begin(record, record, rule.kind, request=request, now=now, synced=False)


def begin(
    before: Record | None,
    record: Record,
    kind: OpKind,
    *,
    request: Asked,
    now: Now,
    plan: CommitPlan | None = None,
    snapshot: Snapshot | None = None,
    synced: bool = True,
) -> Decision:
    """The intent, to be on disk before the call is made."""
    epoch = record.epoch + 1
    op = Operation(
        op_id=request.op_id,
        kind=kind,
        epoch=epoch,
        call=Call.IN_FLIGHT,
        started_at=now,
        keys=keys.with_key((), request.key),
        plan=plan,
        snapshot_id=plan.snapshot_id if plan else snapshot.id if snapshot else "",
    )
    detail = f"{kind.lower()} requested"
    if before is not None and record.bindings.invalid and not before.bindings.invalid:
        detail += "; snapshot bindings invalidated"
    return write(
        before,
        replace(record, open=op, epoch=epoch),
        now=now,
        cause=Cause.RPC,
        detail=detail,
        effects=(CallRuntime(kind=kind, epoch=epoch, snapshot=snapshot),),
        synced=synced,
    )


def refused(record: Record | None, request: Asked, fault: Fault) -> Decision:
    """Nothing begins, and nothing is kept of it."""
    return keep(record, Complete(op_id=request.op_id, fault=fault))


def _invalidated(record: Record, now: Now) -> Record:
    return replace(record, bindings=record.bindings.invalidated(now.wall_ns))


def _unmet(record: Record, expected: Expected) -> Fault | None:
    if expected.epoch not in {None, record.epoch}:
        return Fault(
            code=Code.FAILED_PRECONDITION,
            reason=Reason.STALE_EPOCH,
            message=(
                f"sandbox {record.id} is at epoch {record.epoch}, not {expected.epoch}: "
                "something happened to it since; look again before you decide"
            ),
        )
    if expected.state not in {None, record.state}:
        return Fault(
            code=Code.FAILED_PRECONDITION,
            reason=Reason.UNEXPECTED_STATE,
            message=f"sandbox {record.id} is {record.state}, not {expected.state}; look again",
        )
    return None
