"""The settle loop: back-off without end, an answer for the caller once, and then the truth."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cubelet.core.effects import Arm, Complete, Query
from cubelet.core.evidence import Alive, Ended, NoAnswer, Status
from cubelet.core.faults import Reason
from cubelet.core.inputs import CallOverdue, CallReturned, Cause, LookRequested, Observed
from cubelet.core.machine import step
from cubelet.core.model import Call, OpKind, Record, State
from cubelet.core.policy import Policy
from tests.support.records import (
    CREATED,
    DELETED,
    EXITED,
    FAILURE,
    HANDLE,
    RUNNING,
    after,
    answer,
    at,
    op,
    pausing,
    restarted,
    resuming,
    told,
)

POLICY = Policy()
SILENCE = NoAnswer(why="silence")


def test_it_asks_again_from_a_quarter_second_doubling_to_ten_for_ever() -> None:
    record = pausing(Call.ABANDONED)
    delays = []
    for _ in range(40):
        decision = step(record, answer(record, SILENCE), at(31), POLICY)
        delays += [one.delay_s for one in decision.effects if isinstance(one, Arm)]
        record = after(decision)
    assert delays[:7] == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0]
    assert set(delays[6:]) == {10.0}
    assert (len(delays), record.state) == (40, State.PAUSING)


@pytest.mark.parametrize(
    ("seen_s", "attempt", "delay_s"),
    [(4.0, 6, 6.0), (9.9, 6, 0.25), (10.0, 6, 10.0), (4.0, 0, 0.25), (0.0, 9, 10.0)],
)
def test_the_second_sighting_is_asked_for_when_it_can_settle(
    seen_s: float, attempt: int, delay_s: float
) -> None:
    record = pausing(Call.ABANDONED, answered=True)
    assert record.open is not None
    opened = replace(record.open, contradicted_mono_s=at(0).mono_s, attempt=attempt)
    record = replace(record, open=opened)
    decision = step(record, answer(record, Status.RUNNING), at(seen_s), POLICY)
    (effect,) = decision.effects
    assert isinstance(effect, Arm)
    assert effect.delay_s == pytest.approx(delay_s)


def test_the_caller_is_told_with_the_first_answer_and_never_again() -> None:
    record = pausing(Call.ABANDONED)
    first = step(record, answer(record, SILENCE), at(31), POLICY)
    fault = told(first)["op2"]
    assert fault is not None
    assert fault.message == (
        "pause of sandbox sb failed: runc said no; its outcome is open and it shows as PAUSING "
        "until the shim tells"
    )
    assert first.persist  # That it was told is on disk: after a restart nobody is told again.
    second = step(after(first), answer(after(first), SILENCE), at(32), POLICY)
    assert (told(second), second.persist) == ({}, False)
    last = step(after(second), answer(after(second), Status.PAUSED), at(33), POLICY)
    assert (told(last), after(last).state, last.persist) == ({}, State.PAUSED, True)


@pytest.mark.parametrize(
    ("status", "known"), [(Status.PAUSED, "it is PAUSED"), (Status.RUNNING, "it is RUNNING")]
)
def test_a_failed_call_is_a_failure_even_where_the_target_is_reached(
    status: Status, known: str
) -> None:
    record = pausing(Call.ANSWERED)
    fault = told(step(record, answer(record, status), at(1), POLICY))["op2"]
    assert fault is not None
    assert fault.reason is FAILURE.reason
    assert fault.message == f"pause of sandbox sb failed: runc said no; {known}"


def test_only_a_restart_knows_no_failure_and_then_the_target_is_success() -> None:
    reached = restarted(pausing())
    assert told(step(reached, answer(reached, Status.PAUSED), at(1), POLICY)) == {"op2": None}
    open_ = restarted(pausing())
    assert told(step(open_, answer(open_, Status.PAUSING), at(1), POLICY)) == {}
    missed = restarted(resuming())
    once = after(step(missed, answer(missed, Status.PAUSED), at(1), POLICY))
    fault = told(step(once, answer(once, Status.PAUSED), at(11), POLICY))["op2"]
    assert fault is not None
    assert fault.reason is Reason.AGENT_RESTARTED


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 1},
        {"incarnation": "other"},
        {"call": Call.IN_FLIGHT},
        {"call": None},
    ],
)
def test_an_answer_to_an_older_question_changes_nothing(change: dict[str, object]) -> None:
    record = pausing(Call.ABANDONED)
    stale = replace(answer(record, Status.PAUSED), **change)  # type: ignore[arg-type]
    decision = step(record, stale, at(40), POLICY)
    assert (decision.record, decision.effects, decision.persist) == (record, (), False)


def test_an_answer_to_an_older_question_that_comes_later_is_not_believed() -> None:
    """Two may be under way at once; what was asked first may be answered last."""
    newer = replace(answer(RUNNING, Status.RUNNING), asked_mono_s=5.0)
    seen = after(step(RUNNING, newer, at(6), POLICY))
    older = replace(answer(seen, Status.PAUSED), asked_mono_s=4.0)
    assert step(seen, older, at(7), POLICY).record is seen
    same = replace(answer(seen, Status.PAUSED), asked_mono_s=5.0)
    assert after(step(seen, same, at(7), POLICY)).state is State.PAUSED


def test_nothing_is_believed_while_our_own_call_is_in_flight() -> None:
    for record in (pausing(), resuming(), CREATED):
        for status in Status:
            decision = step(record, answer(record, status), at(1), POLICY)
            assert (decision.record, decision.effects) == (record, ())


@pytest.mark.parametrize("record", [pausing(), CREATED, EXITED, DELETED])
def test_no_look_is_taken_where_its_answer_would_be_worthless(record: Record) -> None:
    assert step(record, LookRequested(cause=Cause.EVENT), at(1), POLICY).effects == ()


def test_a_missed_deadline_asks_and_a_late_return_asks_again() -> None:
    missed = step(pausing(), CallOverdue(epoch=2, deadline_s=30.0), at(30), POLICY)
    opened = after(missed).open
    assert opened is not None
    assert opened.failure is not None
    assert (opened.call, opened.failure.reason) == (Call.ABANDONED, Reason.RUNTIME_DEADLINE)
    assert missed.effects == (Query(cause=Cause.RPC),)
    contradicted = replace(after(missed), open=replace(opened, contradicted_mono_s=1031.0))
    late = CallReturned(epoch=2, kind=OpKind.PAUSE, call=Call.LOST)
    decision = step(contradicted, late, at(50), POLICY)
    assert decision.effects == (Query(cause=Cause.SETTLE),)
    judged = after(decision).open
    assert judged is not None
    # What was seen while it could still happen does not count against it.
    assert (judged.call, judged.contradicted_mono_s) == (Call.LOST, None)


def test_a_call_that_returns_twice_or_too_late_means_nothing() -> None:
    late = CallReturned(epoch=2, kind=OpKind.PAUSE, call=Call.ANSWERED)
    for record in (pausing(Call.LOST), pausing(Call.ANSWERED), RUNNING):
        assert step(record, late, at(1), POLICY).record is record
    overdue = CallOverdue(epoch=2, deadline_s=30.0)
    for record in (pausing(Call.LOST), resuming(), RUNNING):
        assert step(record, overdue, at(1), POLICY).record is record


def test_an_answer_about_another_process_is_none() -> None:
    record = pausing(Call.ANSWERED)
    for other in (
        Alive(status=Status.PAUSED, pid=99),
        Alive(status=Status.PAUSED, pid=2, start_ticks=99),
    ):
        seen = after(step(record, answer(record, other), at(1), POLICY))
        assert (seen.state, seen.unseen_since) == (State.PAUSING, at(1))
    ours = Alive(status=Status.PAUSED, pid=2, start_ticks=2)
    assert after(step(record, answer(record, ours), at(1), POLICY)).state is State.PAUSED


# --- a create whose outcome the store refused -----------------------------------------------------

MADE = replace(CREATED, handle=HANDLE, open=op(OpKind.CREATE, Call.ANSWERED, epoch=1))


def test_a_created_sandbox_that_is_found_living_runs() -> None:
    for status in (Status.RUNNING, Status.PAUSED, Status.PAUSING):
        assert after(step(MADE, answer(MADE, status), at(1), POLICY)).state is State.RUNNING


def test_a_created_sandbox_that_ended_is_kept_as_such() -> None:
    over = step(MADE, answer(MADE, Ended(exit_code=1, finished_at_ns=0)), at(1), POLICY)
    assert after(over).state is State.EXITED


@pytest.mark.parametrize("evidence", [SILENCE, Status.CREATED])
def test_a_created_sandbox_is_asked_about_until_it_tells(evidence: NoAnswer | Status) -> None:
    decision = step(MADE, answer(MADE, evidence), at(1), POLICY)
    assert after(decision).state is State.CREATED
    assert any(isinstance(effect, Arm) for effect in decision.effects)


@pytest.mark.parametrize("cause", Cause)
def test_what_was_only_half_made_is_undone_whatever_the_shim_says(cause: Cause) -> None:
    half = replace(CREATED, open=op(OpKind.CREATE, Call.ANSWERED, epoch=1))
    decision = step(half, answer(half, SILENCE, cause), at(1), POLICY)
    assert after(decision).state is State.DELETED
    assert not any(isinstance(effect, Complete) for effect in decision.effects)


# --- nothing is open: the shim is followed --------------------------------------------------------


@pytest.mark.parametrize("cause", sorted(set(Cause) - {Cause.SWEEP}))
def test_a_strangers_pause_and_resume_are_followed(cause: Cause) -> None:
    paused = step(RUNNING, answer(RUNNING, Status.PAUSED, cause), at(1), POLICY)
    assert after(paused).state is State.PAUSED
    assert paused.entries[0].detail == "not by us: shim says PAUSED (pid 2)"
    resumed = step(after(paused), answer(after(paused), Status.RUNNING, cause), at(2), POLICY)
    assert after(resumed).state is State.RUNNING


def test_the_sweep_has_no_say_where_nothing_is_open() -> None:
    for evidence in (Status.PAUSED, Ended(exit_code=0, finished_at_ns=0)):
        seen: Observed = answer(RUNNING, evidence, Cause.SWEEP)
        assert step(RUNNING, seen, at(1), POLICY).record is RUNNING
