"""Records in every state, for tests of the pure core and of what reads records."""

from __future__ import annotations

from dataclasses import replace

from cubelet.core.bindings import CommitPlan, Mode, Snapshot, bound_to
from cubelet.core.effects import Complete, Decision
from cubelet.core.evidence import Alive, Evidence, Status
from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.inputs import Cause, Observed
from cubelet.core.model import (
    Call,
    Divergence,
    Handle,
    Key,
    Now,
    Operation,
    OpKind,
    Outcome,
    Record,
)
from cubelet.core.spec import Spec

T0 = Now(wall_ns=10**18, mono_s=1000.0)
FAILURE = Fault(code=Code.ABORTED, reason=Reason.RUNTIME_REFUSED, message="runc said no")
SPEC = Spec(runtime="toy", args=("count",))
HANDLE = Handle(
    address="unix:///toy", version=2, shim_pid=1, shim_start_ticks=1, pid=2, pid_start_ticks=2
)


def at(seconds: float) -> Now:
    """A time after T0, on both clocks."""
    return Now(wall_ns=T0.wall_ns + int(seconds * 1e9), mono_s=T0.mono_s + seconds)


def op(
    kind: OpKind, call: Call = Call.IN_FLIGHT, *, epoch: int = 2, failed: bool | None = None
) -> Operation:
    """An open operation begun at T0; one whose call is over has failed."""
    failure = FAILURE if (call is not Call.IN_FLIGHT if failed is None else failed) else None
    return Operation(op_id="op2", kind=kind, epoch=epoch, call=call, started_at=T0, failure=failure)


RUNNING = Record(
    id="sb",
    namespace="default",
    incarnation="first",
    spec=SPEC,
    epoch=1,
    revision=2,
    handle=HANDLE,
    created_at_ns=1,
    started_at_ns=2,
    boot_id="boot1",
)
PAUSED = replace(RUNNING, epoch=2, paused_at_ns=3)
CREATED = replace(
    RUNNING, revision=1, handle=None, started_at_ns=0, open=op(OpKind.CREATE, epoch=1)
)
EXITED = replace(RUNNING, finished_at_ns=4, exit_code=0)
DELETED = replace(RUNNING, epoch=2, tombstone_at_ns=5)


#: Created, and the store refused to write it.
NOT_WRITTEN = replace(CREATED, handle=HANDLE, open=op(OpKind.CREATE, Call.ANSWERED, epoch=1))


def pausing(call: Call = Call.IN_FLIGHT, *, answered: bool = False) -> Record:
    """RUNNING with an open pause."""
    return replace(RUNNING, epoch=2, open=replace(op(OpKind.PAUSE, call), answered=answered))


def resuming(call: Call = Call.IN_FLIGHT, *, answered: bool = False) -> Record:
    """PAUSED with an open resume."""
    opened = replace(op(OpKind.RESUME, call, epoch=3), answered=answered)
    return replace(PAUSED, epoch=3, open=opened)


KEY = Key(value="k", digest="d")
TOLD = Outcome(sandbox_id="sb", key=KEY, op_id="op1", at_ns=1, record=RUNNING)
CATALOG = {
    "snap": Snapshot(
        id="snap",
        runtime="toy",
        sandbox_id="sb",
        incarnation="first",
        path="/toy/snap",
        mode=Mode.FULL,
        created_at_ns=1,
    )
}
DIVERGED = replace(
    RUNNING, diverged=Divergence(says=Status.RUNNING, frozen=True, since=T0, seen=2, shown=True)
)


def snapshotting(kind: OpKind, call: Call = Call.IN_FLIGHT, *, answered: bool = False) -> Record:
    """RUNNING with an open commit or rollback."""
    plan = CommitPlan(snapshot_id="snap8", mode=Mode.FULL) if kind is OpKind.COMMIT else None
    opened = replace(op(kind, call), answered=answered, plan=plan, snapshot_id="snap8")
    return replace(RUNNING, epoch=2, open=opened)


BOUND = bound_to("snap", at_ns=1, generation=3)


def diverging(record: Record, *, says: Status = Status.RUNNING) -> Record:
    """The same, seen once since T0 to be frozen otherwise than its shim says."""
    split = Divergence(says=says, frozen=says is not Status.PAUSED, since=T0)
    return replace(record, diverged=split)


def with_keys(record: Record) -> Record:
    """The same with two callers that gave keys."""
    assert record.open is not None
    keys = (KEY, Key(value="k2", digest="d2"))
    return replace(record, open=replace(record.open, keys=keys))


def restarted(record: Record) -> Record:
    """The same with the open operation as a new agent takes it over: no failure is known."""
    assert record.open is not None
    return replace(record, open=replace(record.open, call=Call.LOST, failure=None, keys=(KEY,)))


def in_every_state() -> dict[str, Record]:
    """One record for each state, and for each phase of each open operation."""
    records = {
        "created": CREATED,
        "created, call lost": replace(CREATED, open=op(OpKind.CREATE, Call.LOST, epoch=1)),
        "created, not written": NOT_WRITTEN,
        "created, not written, diverged": diverging(NOT_WRITTEN),
        "running": RUNNING,
        "paused": PAUSED,
        "exited": EXITED,
        "deleted": DELETED,
        "running, diverged": DIVERGED,
        "running, bound": replace(RUNNING, opaque_restore=True, bindings=BOUND),
        "paused, bound": replace(PAUSED, opaque_restore=True, bindings=BOUND),
        "running, bindings invalid": replace(
            RUNNING, opaque_restore=True, bindings=BOUND.invalidated(6)
        ),
        "running, commit after a restore": replace(
            snapshotting(OpKind.COMMIT), opaque_restore=True, bindings=BOUND.invalidated(6)
        ),
        "running, rollback after a restore": replace(
            snapshotting(OpKind.ROLLBACK), opaque_restore=True, bindings=BOUND.invalidated(6)
        ),
        "pausing, diverged": diverging(pausing(Call.LOST, answered=True)),
        "resuming, diverged": diverging(resuming(Call.LOST), says=Status.PAUSED),
        "pausing, diverged, answered": diverging(pausing(Call.ANSWERED)),
        "pausing, with keys": with_keys(pausing()),
        "pausing, failed, with keys": with_keys(pausing(Call.ANSWERED)),
        "deleted, failed": replace(DELETED, delete_failure=FAILURE, delete_keys=(KEY,)),
        "exited with its host": replace(EXITED, boot_id="boot2", leftovers=True),
        "running, opaque": replace(RUNNING, opaque_restore=True),
        "paused, opaque": replace(PAUSED, opaque_restore=True),
        "pausing, restarted": restarted(pausing()),
        "resuming, restarted": restarted(resuming()),
        "deleted while created": replace(CREATED, epoch=2, tombstone_at_ns=5),
    }
    for call in Call:
        for answered in (False, True) if call is not Call.IN_FLIGHT else (False,):
            name = f"call {call}, {'answered' if answered else 'waiting'}"
            records[f"pausing, {name}"] = pausing(call, answered=answered)
            records[f"resuming, {name}"] = resuming(call, answered=answered)
            for kind in (OpKind.COMMIT, OpKind.ROLLBACK):
                records[f"running, {kind}, {name}"] = snapshotting(kind, call, answered=answered)
    return records


def answer(record: Record, evidence: Evidence | Status, cause: Cause = Cause.SETTLE) -> Observed:
    """The shim's answer to a question that was asked of this very record."""
    seen = Alive(status=evidence, pid=2) if isinstance(evidence, Status) else evidence
    return Observed(
        cause=cause,
        epoch=record.epoch,
        incarnation=record.incarnation,
        call=record.open.call if record.open else None,
        evidence=seen,
    )


def told(decision: Decision) -> dict[str, Fault | None]:
    """The callers that are answered, each with its fault."""
    return {one.op_id: one.fault for one in decision.effects if isinstance(one, Complete)}


def after(decision: Decision) -> Record:
    """The record that the decision leaves."""
    assert decision.record is not None
    return decision.record
