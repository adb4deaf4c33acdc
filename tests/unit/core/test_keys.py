"""Keys: a request that is sent again does nothing new, and gets the answer of the first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cubelet.core.effects import CallRuntime, Complete, CompleteDeletes, Destroy, Join, Replay
from cubelet.core.evidence import Gone, Status
from cubelet.core.faults import Code, Reason
from cubelet.core.inputs import (
    CallReturned,
    CommitRequested,
    CreateRequested,
    DeleteRequested,
    DestroyEnded,
    Expected,
    PauseRequested,
    Recovered,
    Request,
    ResumeRequested,
)
from cubelet.core.keys import KEYS_MAX
from cubelet.core.machine import step
from cubelet.core.model import Call, Key, OpKind, Outcome, Record, State
from cubelet.core.policy import Policy
from tests.support.records import (
    CATALOG,
    CREATED,
    DELETED,
    FAILURE,
    HANDLE,
    KEY,
    PAUSED,
    RUNNING,
    SPEC,
    TOLD,
    after,
    answer,
    at,
    pausing,
    resuming,
    snapshotting,
    told,
    with_keys,
)

POLICY = Policy()
OTHER = replace(KEY, digest="another request")
PAUSE = PauseRequested(op_id="op9", key=KEY)
CREATE = CreateRequested(
    op_id="op9", key=KEY, id="sb", namespace="default", incarnation="second", spec=SPEC
)
EVERY = [
    CREATE,
    PAUSE,
    ResumeRequested(op_id="op9", key=KEY),
    CommitRequested(op_id="op9", key=KEY, snapshot_id="new", catalog=CATALOG),
    DeleteRequested(op_id="op9", key=KEY),
]


@pytest.mark.parametrize("record", [None, RUNNING, PAUSED, pausing(), DELETED])
@pytest.mark.parametrize("request_", EVERY)
def test_what_was_answered_is_answered_again_and_nothing_is_done(
    request_: Request, record: Record | None
) -> None:
    for outcome in (TOLD, replace(TOLD, fault=FAILURE, record=None)):
        again = replace(request_, remembered=outcome)
        decision = step(record, again, at(1), POLICY)
        assert decision.effects == (Replay(op_id="op9", outcome=outcome),)
        assert (decision.record, decision.persist) == (record, False)


@pytest.mark.parametrize("request_", EVERY)
def test_a_key_of_another_request_is_an_error(request_: Request) -> None:
    for record, remembered in (
        (RUNNING, TOLD),
        (with_keys(pausing()), None),
        (replace(DELETED, delete_keys=(KEY,)), None),
    ):
        again = replace(request_, key=OTHER, remembered=remembered)
        fault = told(step(record, again, at(1), POLICY))["op9"]
        assert fault is not None
        assert (fault.code, fault.reason) == (Code.INVALID_ARGUMENT, Reason.KEY_REUSED)


def test_the_key_is_on_disk_with_the_intent_and_its_outcome_with_the_answer() -> None:
    begun = step(RUNNING, PAUSE, at(1), POLICY)
    assert begun.persist
    op = after(begun).open
    assert op is not None
    assert op.keys == (KEY,)
    done = CallReturned(epoch=2, kind=OpKind.PAUSE, call=Call.ANSWERED)
    decision = step(after(begun), done, at(3), POLICY)
    assert decision.outcomes == (
        Outcome(sandbox_id="sb", key=KEY, op_id="op9", at_ns=at(3).wall_ns, record=decision.record),
    )


def test_all_who_joined_get_the_same_outcome_a_fault_too() -> None:
    record = with_keys(pausing(Call.ANSWERED))
    decision = step(record, answer(record, Status.RUNNING), at(3), POLICY)
    faults = {outcome.fault for outcome in decision.outcomes}
    assert [outcome.key.value for outcome in decision.outcomes] == ["k", "k2"]
    assert faults == {told(decision)["op2"]}
    assert None not in faults
    assert {outcome.record for outcome in decision.outcomes} == {None}


def test_a_refusal_that_began_nothing_is_not_kept() -> None:
    decision = step(PAUSED, PAUSE, at(1), POLICY)
    assert (decision.outcomes, decision.persist) == ((), False)


# --- joiners --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "request_"),
    [
        (pausing(), PauseRequested(op_id="op9")),
        (pausing(Call.ANSWERED), PAUSE),
        (resuming(), ResumeRequested(op_id="op9", key=Key(value="k3", digest="d3"))),
        (with_keys(snapshotting(OpKind.COMMIT)), EVERY[3]),
        (with_keys(CREATED), CREATE),
    ],
)
def test_the_same_request_waits_for_the_open_one(record: Record, request_: Request) -> None:
    assert record.open is not None
    decision = step(record, request_, at(1), POLICY)
    assert decision.effects == (Join(op_id="op9", to_op_id=record.open.op_id),)
    assert after(decision).open is not None
    if request_.key is not None:
        assert request_.key in after(decision).open.keys  # type: ignore[union-attr]


def test_nobody_joins_what_has_no_answer_to_come() -> None:
    for record in (
        pausing(Call.ABANDONED, answered=True),
        replace(pausing(), open=replace(pausing(Call.LOST).open, failure=None)),  # type: ignore[type-var]
    ):
        fault = told(step(record, PauseRequested(op_id="op9"), at(1), POLICY))["op9"]
        assert fault is not None
        assert fault.reason is Reason.PAUSE_IN_PROGRESS


def test_a_repetition_of_what_a_restart_left_open_is_told_to_come_later() -> None:
    record = after(step(with_keys(pausing()), Recovered(), at(1), POLICY))
    fault = told(step(record, PAUSE, at(1), POLICY))["op9"]
    assert fault is not None
    assert (fault.reason, fault.retryable) == (Reason.PAUSE_IN_PROGRESS, True)
    settled = step(record, answer(record, Status.PAUSED), at(2), POLICY)
    assert [outcome.fault for outcome in settled.outcomes] == [None, None]


def test_joiners_check_their_preconditions_and_repetitions_need_not() -> None:
    stale = PauseRequested(op_id="op9", expected=Expected(epoch=1))
    fault = told(step(pausing(), stale, at(1), POLICY))["op9"]
    assert fault is not None
    assert fault.reason is Reason.STALE_EPOCH
    repeated = replace(stale, key=KEY)
    decision = step(with_keys(pausing()), repeated, at(1), POLICY)
    assert isinstance(decision.effects[0], Join)


def test_one_operation_has_so_many_keys_and_no_more() -> None:
    record = pausing()
    for number in range(KEYS_MAX):
        key = Key(value=f"k{number}", digest="d")
        request = PauseRequested(op_id=f"op{number + 10}", key=key)
        record = after(step(record, request, at(1), POLICY))
    decision = step(record, PAUSE, at(1), POLICY)
    fault = told(decision)["op9"]
    assert fault is not None
    assert (fault.code, decision.record) == (Code.RESOURCE_EXHAUSTED, record)
    known = PauseRequested(op_id="op8", key=Key(value="k3", digest="d"))
    assert step(record, known, at(1), POLICY).effects == (Join(op_id="op8", to_op_id="op2"),)


def test_a_repetition_of_a_failure_that_is_told_but_not_noted_gets_it_again() -> None:
    """The store refused to note it; the caller was told, and may ask again at once."""
    record = with_keys(pausing(Call.ANSWERED, answered=True))
    decision = step(record, PAUSE, at(1), POLICY)
    assert (told(decision), decision.record) == ({"op9": FAILURE}, record)


# --- deletes --------------------------------------------------------------------------------------


def test_a_deletes_key_is_on_disk_with_the_tombstone_and_answered_at_the_end() -> None:
    request = DeleteRequested(op_id="op9", key=KEY)
    record = after(step(RUNNING, request, at(1), POLICY))
    assert (record.delete_keys, record.state) == ((KEY,), State.DELETED)
    second = replace(request, op_id="op10", key=Key(value="k2", digest="d2"))
    joined = step(record, second, at(2), POLICY)
    assert joined.persist
    assert joined.effects == (Destroy(),)
    again = step(after(joined), second, at(2), POLICY)
    assert (again.persist, again.effects) == (False, (Destroy(),))
    ended = step(after(again), DestroyEnded(), at(3), POLICY)
    assert [outcome.key.value for outcome in ended.outcomes] == ["k", "k2"]
    assert {outcome.fault for outcome in ended.outcomes} == {None}


def test_a_failed_removal_keeps_the_keys_for_the_next_try() -> None:
    record = replace(DELETED, delete_keys=(KEY,))
    decision = step(record, DestroyEnded(failure=FAILURE), at(1), POLICY)
    assert (after(decision).delete_keys, decision.outcomes) == ((KEY,), ())
    assert CompleteDeletes(fault=FAILURE) in decision.effects


def test_deletes_without_end_do_not_make_the_record_grow_without_end() -> None:
    record = DELETED
    for number in range(3 * KEYS_MAX):
        key = Key(value=f"k{number}", digest="d")
        request = DeleteRequested(op_id="op9", key=key)
        record = after(step(record, request, at(1), POLICY))
    assert len(record.delete_keys) == KEYS_MAX


def test_a_delete_tells_the_keys_of_what_it_cuts_short() -> None:
    record = with_keys(pausing())
    decision = step(record, DeleteRequested(op_id="op9"), at(1), POLICY)
    assert [outcome.fault for outcome in decision.outcomes] == [told(decision)["op2"]] * 2
    answered = with_keys(pausing(Call.LOST, answered=True))
    decision = step(answered, DeleteRequested(op_id="op9"), at(1), POLICY)
    assert [outcome.fault for outcome in decision.outcomes] == [FAILURE] * 2
    assert told(decision) == {}
    assert answered.open is not None
    noted = replace(answered, open=replace(answered.open, noted=True))
    assert step(noted, DeleteRequested(op_id="op9"), at(1), POLICY).outcomes == ()


# --- creates --------------------------------------------------------------------------------------


def test_a_create_without_a_record_begins_whatever_its_key() -> None:
    decision = step(None, CREATE, at(1), POLICY)
    assert decision.effects == (CallRuntime(kind=OpKind.CREATE, epoch=1),)
    done = CallReturned(epoch=1, kind=OpKind.CREATE, call=Call.ANSWERED, handle=HANDLE)
    created = step(after(decision), done, at(2), POLICY)
    (outcome,) = created.outcomes
    assert (outcome.record, told(created)) == (created.record, {"op9": None})


def test_a_failed_create_tells_its_key_when_nothing_is_left() -> None:
    failed = CallReturned(epoch=1, kind=OpKind.CREATE, call=Call.ANSWERED, failure=FAILURE)
    undone = step(with_keys(CREATED), failed, at(1), POLICY)
    assert (undone.outcomes, undone.effects) == ((), (Destroy(),))
    gone = step(after(undone), DestroyEnded(), at(2), POLICY)
    assert [outcome.fault for outcome in gone.outcomes] == [FAILURE] * 2
    assert Complete(op_id="op2", fault=FAILURE) in gone.effects


def test_an_end_is_an_outcome() -> None:
    record = with_keys(pausing(Call.LOST))
    decision = step(record, answer(record, Gone(why="no process")), at(1), POLICY)
    assert [outcome.fault for outcome in decision.outcomes] == [told(decision)["op2"]] * 2
