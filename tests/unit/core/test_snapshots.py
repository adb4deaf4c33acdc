"""Commit and rollback: what they need, what is on disk before the call, what is kept after it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cubelet.core.bindings import INVALID_BASE, Binding, CommitPlan, Mode, Snapshot, bound_to
from cubelet.core.effects import CallRuntime, Complete, Decision
from cubelet.core.evidence import Gone, Status
from cubelet.core.faults import Reason
from cubelet.core.inputs import (
    CallReturned,
    CommitRequested,
    RollbackRequested,
)
from cubelet.core.machine import step
from cubelet.core.model import Call, OpKind, Record, State
from cubelet.core.policy import Policy
from tests.support.records import (
    CATALOG,
    CREATED,
    DELETED,
    DIVERGED,
    EXITED,
    FAILURE,
    PAUSED,
    RUNNING,
    after,
    answer,
    at,
    pausing,
    resuming,
    snapshotting,
    told,
)

POLICY = Policy()
COMMIT = CommitRequested(op_id="op9", snapshot_id="new", catalog=CATALOG)
ROLLBACK = RollbackRequested(op_id="op9", snapshot_id="snap", catalog=CATALOG)
OVER = [Call.ABANDONED, Call.LOST, Call.ANSWERED]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (CREATED, Reason.CREATE_IN_PROGRESS),
        (PAUSED, Reason.NOT_RUNNING),
        (pausing(), Reason.PAUSE_IN_PROGRESS),
        (resuming(), Reason.RESUME_IN_PROGRESS),
        (snapshotting(OpKind.COMMIT), Reason.SNAPSHOT_IN_PROGRESS),
        (snapshotting(OpKind.ROLLBACK, Call.LOST), Reason.SNAPSHOT_IN_PROGRESS),
        (EXITED, Reason.NOT_RUNNING),
        (DELETED, Reason.DELETE_IN_PROGRESS),
        (DIVERGED, Reason.DIVERGED),
    ],
)
def test_both_need_a_running_sandbox_without_an_open_outcome(
    record: Record, reason: Reason
) -> None:
    for request in (COMMIT, ROLLBACK):
        decision = step(record, request, at(1), POLICY)
        fault = told(decision)["op9"]
        assert fault is not None
        assert fault.reason is reason
        assert (decision.record, decision.persist) == (record, False)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (replace(COMMIT, snapshot_id="snap"), Reason.SNAPSHOT_EXISTS),
        (replace(COMMIT, snapshot_id=INVALID_BASE), Reason.BAD_REQUEST),
        (replace(ROLLBACK, snapshot_id=INVALID_BASE), Reason.BAD_REQUEST),
        (replace(ROLLBACK, snapshot_id="nobody"), Reason.SNAPSHOT_NOT_FOUND),
        (
            replace(ROLLBACK, catalog={"snap": replace(CATALOG["snap"], runtime="other")}),
            Reason.SNAPSHOT_NOT_FOUND,
        ),
    ],
)
def test_a_name_that_does_not_fit_is_refused(
    request_: CommitRequested | RollbackRequested, reason: Reason
) -> None:
    decision = step(RUNNING, request_, at(1), POLICY)
    (effect,) = decision.effects
    assert isinstance(effect, Complete)
    assert effect.fault is not None
    assert effect.fault.reason is reason


def test_the_intent_of_a_commit_holds_its_plan_and_no_proven_binding() -> None:
    bindings = bound_to("snap", at_ns=1, generation=3)
    decision = step(replace(RUNNING, bindings=bindings), COMMIT, at(1), POLICY)
    record = after(decision)
    assert record.open is not None
    assert record.open.plan == CommitPlan(
        snapshot_id="new", mode=Mode.SOFT_DIRTY, base_id="snap", generation=3
    )
    pending = Binding(snapshot_id="new", attached_at_ns=at(1).wall_ns, proven=False)
    assert record.bindings == replace(bindings, runtime=pending)
    assert decision.effects == (CallRuntime(kind=OpKind.COMMIT, epoch=2),)
    assert (decision.synced, record.state) == (True, State.RUNNING)


def test_the_intent_of_a_rollback_holds_no_valid_binding() -> None:
    bindings = bound_to("snap", at_ns=1, generation=3)
    decision = step(replace(RUNNING, bindings=bindings), ROLLBACK, at(1), POLICY)
    assert after(decision).bindings.invalid
    assert decision.effects == (
        CallRuntime(kind=OpKind.ROLLBACK, epoch=2, snapshot=CATALOG["snap"]),
    )
    assert (decision.synced, decision.snapshots) == (True, ())


def test_a_commit_that_succeeded_enters_the_catalog_with_its_lineage() -> None:
    plan = CommitPlan(snapshot_id="snap8", mode=Mode.INCREMENTAL, base_id="snap", generation=3)
    record = snapshotting(OpKind.COMMIT)
    assert record.open is not None
    record = replace(record, open=replace(record.open, plan=plan))
    returned = CallReturned(
        epoch=2, kind=OpKind.COMMIT, call=Call.ANSWERED, generation=3, path="/toy/snap8"
    )
    decision = step(record, returned, at(5), POLICY)
    assert decision.snapshots == (
        Snapshot(
            id="snap8",
            runtime="toy",
            sandbox_id="sb",
            incarnation="first",
            path="/toy/snap8",
            mode=Mode.INCREMENTAL,
            base_id="snap",
            generation=3,
            created_at_ns=at(5).wall_ns,
        ),
    )
    assert told(decision) == {"op2": None}


@pytest.mark.parametrize("kind", [OpKind.COMMIT, OpKind.ROLLBACK])
def test_a_failed_one_enters_nothing_and_the_shim_is_asked(kind: OpKind) -> None:
    returned = CallReturned(epoch=2, kind=kind, call=Call.ANSWERED, failure=FAILURE)
    decision = step(snapshotting(kind), returned, at(5), POLICY)
    assert (decision.snapshots, decision.persist) == ((), False)


def test_a_name_that_another_is_about_to_make_is_refused() -> None:
    fault = told(step(RUNNING, replace(COMMIT, claimed=True), at(1), POLICY))["op9"]
    assert fault is not None
    assert (fault.reason, fault.retryable) == (Reason.SNAPSHOT_IN_PROGRESS, True)


def upon_a_base() -> Record:
    record = snapshotting(OpKind.COMMIT)
    plan = CommitPlan(snapshot_id="snap8", mode=Mode.SOFT_DIRTY, base_id="snap", generation=3)
    assert record.open is not None
    bindings = bound_to("snap", at_ns=1, generation=3)
    return replace(record, bindings=bindings, open=replace(record.open, plan=plan))


def failed_with(reason: Reason) -> CallReturned:
    failure = replace(FAILURE, reason=reason)
    return CallReturned(epoch=2, kind=OpKind.COMMIT, call=Call.ANSWERED, failure=failure)


def test_where_the_base_is_gone_from_disk_all_is_taken_once() -> None:
    decision = step(upon_a_base(), failed_with(Reason.SNAPSHOT_NOT_FOUND), at(5), POLICY)
    record = after(decision)
    assert record.open is not None
    assert record.open.plan == CommitPlan(snapshot_id="snap8", mode=Mode.FULL)
    assert decision.effects == (CallRuntime(kind=OpKind.COMMIT, epoch=3),)
    again = replace(failed_with(Reason.SNAPSHOT_NOT_FOUND), epoch=3)
    assert not any(
        isinstance(effect, CallRuntime) for effect in step(record, again, at(6), POLICY).effects
    )


def test_a_base_that_the_runtime_calls_stale_is_no_base_any_more() -> None:
    decision = step(upon_a_base(), failed_with(Reason.STALE_BASE), at(5), POLICY)
    assert after(decision).bindings.invalid


def failed_by(reason: Reason, *, base_id: str = "snap") -> Decision:
    """A commit upon `base_id` that the runtime refused for this reason."""
    record = replace(snapshotting(OpKind.COMMIT), bindings=bound_to("snap", at_ns=1, generation=3))
    assert record.open is not None
    plan = CommitPlan(snapshot_id="snap8", mode=Mode.SOFT_DIRTY, base_id=base_id, generation=3)
    record = replace(record, open=replace(record.open, plan=plan))
    fault = replace(FAILURE, reason=reason)
    returned = CallReturned(epoch=2, kind=OpKind.COMMIT, call=Call.ANSWERED, failure=fault)
    return step(record, returned, at(5), POLICY)


def test_a_base_that_is_gone_from_disk_makes_the_commit_a_full_one() -> None:
    decision = failed_by(Reason.SNAPSHOT_NOT_FOUND)
    op = after(decision).open
    assert op is not None
    assert op.plan == CommitPlan(snapshot_id="snap8", mode=Mode.FULL)
    assert (op.op_id, op.call, op.epoch) == ("op2", Call.IN_FLIGHT, 3)
    assert (decision.persist, decision.effects) == (
        True,
        (CallRuntime(kind=OpKind.COMMIT, epoch=3),),
    )
    once_more = failed_by(Reason.SNAPSHOT_NOT_FOUND, base_id="")
    assert not any(isinstance(effect, CallRuntime) for effect in once_more.effects)


def test_a_base_that_the_runtime_calls_stale_is_none_any_more() -> None:
    decision = failed_by(Reason.STALE_BASE)
    assert after(decision).bindings.invalid
    told_of = answer(after(decision), Status.RUNNING)
    over = step(after(decision), told_of, at(6), POLICY)
    assert (over.persist, after(over).bindings.invalid) == (True, True)


@pytest.mark.parametrize("call", OVER)
@pytest.mark.parametrize("status", [Status.RUNNING, Status.CREATED, Status.PAUSED])
@pytest.mark.parametrize("kind", [OpKind.COMMIT, OpKind.ROLLBACK])
def test_no_status_is_its_success(kind: OpKind, status: Status, call: Call) -> None:
    """Only what the call itself told is; any living status ends it by the rule."""
    record = snapshotting(kind, call)
    first = step(record, answer(record, status), at(100), POLICY)
    fault = told(first)["op2"]
    assert fault is not None
    assert (after(first).open is None) == (call is Call.ANSWERED)
    if after(first).open is not None:
        second = step(after(first), answer(after(first), status), at(121), POLICY)
        assert after(second).open is None
        assert after(second).state is State.RUNNING


def test_an_end_ends_an_open_commit_too() -> None:
    record = snapshotting(OpKind.COMMIT, Call.LOST)
    decision = step(record, answer(record, Gone(why="no process")), at(5), POLICY)
    assert (after(decision).state, after(decision).open) == (State.EXITED, None)


def test_a_paused_status_after_a_snapshot_is_not_taken_for_running_for_long() -> None:
    """The operation ends first; the next look follows the pause that was not ours."""
    record = snapshotting(OpKind.COMMIT, Call.ANSWERED)
    over = after(step(record, answer(record, Status.PAUSED), at(5), POLICY))
    seen = step(over, answer(over, Status.PAUSED), at(6), POLICY)
    assert after(seen).state is State.PAUSED
