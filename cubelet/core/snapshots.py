"""Commit and rollback: what they need, and what they write down before the runtime is asked."""

from __future__ import annotations

from dataclasses import replace

from cubelet.core.bindings import INVALID_BASE, Binding, plan_commit
from cubelet.core.effects import Decision
from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.inputs import CommitRequested, RollbackRequested
from cubelet.core.model import Now, OpKind, Record
from cubelet.core.requests import begin, refused
from cubelet.core.table import Join, Refuse, Verb, rule_for


def commit(record: Record, request: CommitRequested, now: Now) -> Decision:
    """Begin a snapshot under a new name, upon the best base there is.

    From the intent on the sandbox is bound to the new name, not proven yet: the runtime may reset
    its dirty tracking at any moment, and then the old base would miss pages.
    """
    unfit = _unfit(record, request, Verb.COMMIT)
    if unfit is None and request.snapshot_id in request.catalog:
        unfit = Fault(
            code=Code.ALREADY_EXISTS,
            reason=Reason.SNAPSHOT_EXISTS,
            message=f"snapshot {request.snapshot_id} exists already; choose another name",
        )
    if unfit is None and request.claimed:
        unfit = Fault(
            code=Code.ABORTED,
            reason=Reason.SNAPSHOT_IN_PROGRESS,
            message=(
                f"another sandbox is about to make snapshot {request.snapshot_id}; "
                "choose another name, or try again"
            ),
        )
    if unfit is not None:
        return refused(record, request, unfit)
    name = request.snapshot_id
    plan = plan_commit(name, record.bindings, record.spec.annotations, request.catalog)
    pending = Binding(snapshot_id=name, attached_at_ns=now.wall_ns, proven=False)
    after = replace(record, bindings=replace(record.bindings, runtime=pending))
    return begin(record, after, OpKind.COMMIT, request=request, now=now, plan=plan)


def rollback(record: Record, request: RollbackRequested, now: Now) -> Decision:
    """Begin to go back to a snapshot; until that is proven no binding is valid."""
    unfit = _unfit(record, request, Verb.ROLLBACK)
    snapshot = request.catalog.get(request.snapshot_id)
    if unfit is None and (snapshot is None or snapshot.runtime != record.spec.runtime):
        unfit = Fault(
            code=Code.NOT_FOUND,
            reason=Reason.SNAPSHOT_NOT_FOUND,
            message=(
                f"no snapshot {request.snapshot_id} of runtime {record.spec.runtime} here; "
                "list what there is"
            ),
        )
    if unfit is not None:
        return refused(record, request, unfit)
    after = replace(record, bindings=record.bindings.invalidated(now.wall_ns))
    return begin(record, after, OpKind.ROLLBACK, request=request, now=now, snapshot=snapshot)


def _unfit(
    record: Record, request: CommitRequested | RollbackRequested, verb: Verb
) -> Fault | None:
    if request.snapshot_id == INVALID_BASE:
        message = f"{INVALID_BASE} marks an unusable base, it is no snapshot; choose another name"
        return Fault(code=Code.INVALID_ARGUMENT, reason=Reason.BAD_REQUEST, message=message)
    rule = rule_for(record, verb)
    if isinstance(rule, Refuse):
        return rule.fault(record.id)
    assert not isinstance(rule, Join)  # noqa: S101 - nobody joins a snapshot.
    return None
