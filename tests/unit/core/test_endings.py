"""How a sandbox ends: a deletion wins over everything, nothing comes back, nothing is left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cubelet.core.effects import Complete, CompleteDeletes, Destroy, Forget
from cubelet.core.evidence import Ended, Gone, Status
from cubelet.core.faults import Reason
from cubelet.core.inputs import (
    CallReturned,
    Cause,
    DeleteRequested,
    DestroyEnded,
    LookRequested,
    Ticked,
)
from cubelet.core.machine import step
from cubelet.core.model import Call, OpKind, Record, State
from cubelet.core.policy import Policy
from tests.support.records import (
    CREATED,
    DELETED,
    DIVERGED,
    EXITED,
    FAILURE,
    HANDLE,
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
DELETE = DeleteRequested(op_id="op9")
CREATING_DELETED = replace(CREATED, epoch=2, tombstone_at_ns=5)


@pytest.mark.parametrize(
    "record",
    [
        RUNNING,
        PAUSED,
        EXITED,
        DIVERGED,
        pausing(Call.LOST),
        resuming(Call.ABANDONED),
        snapshotting(OpKind.COMMIT),
        snapshotting(OpKind.ROLLBACK, Call.LOST),
    ],
)
def test_a_delete_is_on_disk_before_anything_is_destroyed(record: Record) -> None:
    decision = step(record, DELETE, at(1), POLICY)
    assert (decision.persist, decision.synced, after(decision).open) == (True, True, None)
    assert after(decision).tombstone_at_ns == at(1).wall_ns
    assert after(decision).epoch == record.epoch + 1
    assert decision.effects[-1] == Destroy()


@pytest.mark.parametrize("call", [Call.ANSWERED, Call.LOST])
@pytest.mark.parametrize("failure", [None, FAILURE])
def test_a_delete_waits_for_the_create_then_destroys_and_tells(failure: object, call: Call) -> None:
    accepted = step(CREATED, DELETE, at(1), POLICY)
    assert (accepted.effects, accepted.persist) == ((), True)
    ended = CallReturned(
        epoch=1,
        kind=OpKind.CREATE,
        call=call,
        failure=FAILURE if failure else None,
        handle=None if failure else HANDLE,
    )
    over = step(after(accepted), ended, at(2), POLICY)
    assert over.effects == (Destroy(),)
    assert after(over).handle == ended.handle
    # The call is over, so whoever comes now may destroy again.
    assert step(after(over), Ticked(), at(3), POLICY).effects == (Destroy(),)
    assert step(after(over), DELETE, at(3), POLICY).effects == (Destroy(),)
    gone = step(after(over), DestroyEnded(), at(4), POLICY)
    fault = told(gone)["op2"]
    assert fault is not None
    assert fault.reason is (FAILURE.reason if failure else Reason.DELETED_MEANWHILE)
    assert (gone.record, gone.effects[0], gone.effects[-1]) == (
        None,
        Forget(),
        CompleteDeletes(),
    )


def test_a_removal_that_fails_is_shown_written_once_and_told_each_time() -> None:
    failed = step(DELETED, DestroyEnded(failure=FAILURE), at(1), POLICY)
    assert (failed.persist, after(failed).delete_failure) == (True, FAILURE)
    assert failed.entries[0].detail == "could not be removed: runc said no"
    again = step(after(failed), DestroyEnded(failure=FAILURE), at(2), POLICY)
    assert (again.persist, again.effects) == (False, (CompleteDeletes(fault=FAILURE),))
    other = replace(FAILURE, message="a mount is busy")
    assert step(after(again), DestroyEnded(failure=other), at(3), POLICY).persist
    gone = step(after(again), DestroyEnded(), at(4), POLICY)
    assert gone.entries[0].detail == "removed"


def test_a_failed_removal_of_a_failed_create_tells_the_creates_caller() -> None:
    record = replace(CREATING_DELETED, open=pausing(Call.ANSWERED).open, delete_failure=FAILURE)
    decision = step(record, DestroyEnded(failure=FAILURE), at(1), POLICY)
    assert (decision.persist, after(decision).open) == (True, None)
    assert Complete(op_id="op2", fault=FAILURE) in decision.effects


def test_an_end_of_a_removal_without_a_deletion_means_nothing() -> None:
    for record in (RUNNING, EXITED):
        assert step(record, DestroyEnded(), at(1), POLICY).record is record


@pytest.mark.parametrize(
    "happened",
    [
        CallReturned(epoch=1, kind=OpKind.PAUSE, call=Call.ANSWERED),
        CallReturned(epoch=2, kind=OpKind.RESUME, call=Call.LOST, failure=FAILURE),
        answer(DELETED, Status.RUNNING),
        answer(DELETED, Gone(why="no process")),
        LookRequested(cause=Cause.EVENT),
    ],
)
def test_nothing_brings_a_deleted_one_back(happened: CallReturned) -> None:
    decision = step(DELETED, happened, at(1), POLICY)
    assert (decision.record, decision.effects, decision.persist) == (DELETED, (), False)
    assert step(None, happened, at(1), POLICY).record is None


@pytest.mark.parametrize("record", [RUNNING, PAUSED, pausing(Call.LOST), resuming(Call.ABANDONED)])
@pytest.mark.parametrize("cause", sorted(set(Cause) - {Cause.SWEEP}))
def test_evidence_of_the_end_ends_by_every_cause(record: Record, cause: Cause) -> None:
    evidence = Ended(exit_code=3, finished_at_ns=77)
    ended = after(step(record, answer(record, evidence, cause), at(9), POLICY))
    assert (ended.state, ended.exit_code, ended.finished_at_ns) == (State.EXITED, 3, 77)
    assert (ended.open, ended.finished_mono_s) == (None, at(9).mono_s)


def test_an_end_is_terminal() -> None:
    for evidence in (Status.RUNNING, Status.PAUSED, Ended(exit_code=9, finished_at_ns=1)):
        assert step(EXITED, answer(EXITED, evidence), at(1), POLICY).record is EXITED
