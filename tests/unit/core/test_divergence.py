"""Two witnesses disagree: neither is believed, nothing is destroyed, our own trace is mended."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cubelet.core.divergence import HEALS_MAX
from cubelet.core.effects import Arm, Complete, Heal, Query
from cubelet.core.evidence import Contradicted, Status
from cubelet.core.faults import Code, Reason
from cubelet.core.inputs import Cause, HealEnded, PauseRequested, RepairRequested, ResumeRequested
from cubelet.core.machine import step
from cubelet.core.model import Call, OpKind, Record, State
from cubelet.core.policy import Policy
from tests.support.records import (
    DELETED,
    DIVERGED,
    EXITED,
    FAILURE,
    NOT_WRITTEN,
    PAUSED,
    RUNNING,
    after,
    answer,
    at,
    diverging,
    pausing,
    resuming,
    snapshotting,
    told,
)

POLICY = Policy()
FROZEN = Contradicted(says=Status.RUNNING, frozen=True, pid=2)
THAWED = Contradicted(says=Status.PAUSED, frozen=False, pid=2)


def test_it_is_shown_when_seen_in_two_rounds_whose_answers_come_a_little_early() -> None:
    once = after(step(RUNNING, answer(RUNNING, FROZEN), at(0), POLICY))
    assert once.diverged is not None
    assert not once.diverged.shown
    soon = step(once, answer(once, FROZEN), at(8.9), POLICY)
    assert not soon.persist
    shown = step(after(soon), answer(after(soon), FROZEN), at(9.1), POLICY)
    assert shown.persist
    assert after(shown).diverged == replace(once.diverged, seen=3, shown=True)
    assert shown.entries[0].detail.startswith("diverged: ")
    assert after(shown).state is State.RUNNING
    again = step(after(shown), answer(after(shown), FROZEN), at(20), POLICY)
    assert not again.persist


def test_another_disagreement_begins_anew() -> None:
    once = after(step(PAUSED, answer(PAUSED, FROZEN), at(0), POLICY))
    other = after(step(once, answer(once, THAWED), at(11), POLICY))
    assert other.diverged is not None
    assert (other.diverged.since, other.diverged.seen) == (at(11), 1)


@pytest.mark.parametrize("record", [RUNNING, PAUSED])
@pytest.mark.parametrize("evidence", [FROZEN, THAWED])
def test_a_strangers_doing_is_never_acted_upon(record: Record, evidence: Contradicted) -> None:
    for seconds in (0, 20, 40, 4000):
        decision = step(record, answer(record, evidence), at(seconds), POLICY)
        assert decision.effects == ()
        record = after(decision)
    assert record.diverged is not None
    assert record.diverged.shown


def test_what_was_created_lives_frozen_or_not() -> None:
    once = after(step(NOT_WRITTEN, answer(NOT_WRITTEN, FROZEN), at(0), POLICY))
    assert once.state is State.CREATED
    made = after(step(once, answer(once, FROZEN), at(11), POLICY))
    assert (made.state, made.open) == (State.RUNNING, None)
    assert made.diverged is not None
    assert made.diverged.shown
    paused = step(made, answer(made, Status.PAUSED), at(12), POLICY)
    assert after(paused).state is State.PAUSED


def test_agreement_ends_it_and_the_journal_says_so() -> None:
    decision = step(DIVERGED, answer(DIVERGED, Status.RUNNING), at(20), POLICY)
    assert after(decision).diverged is None
    assert decision.entries[0].detail.startswith("no longer diverged: ")
    noted = diverging(RUNNING)
    quiet = step(noted, answer(noted, Status.RUNNING), at(20), POLICY)
    assert (after(quiet).diverged, quiet.persist) == (None, False)


@pytest.mark.parametrize("request_", [PauseRequested(op_id="op9"), ResumeRequested(op_id="op9")])
def test_nothing_begins_while_they_disagree(
    request_: PauseRequested | ResumeRequested,
) -> None:
    for record in (diverging(RUNNING), diverging(PAUSED)):
        fault = told(step(record, request_, at(1), POLICY))["op9"]
        assert fault is not None
        assert fault.code is Code.FAILED_PRECONDITION


# --- our own trace --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "evidence", "frozen"),
    [
        (diverging(pausing(Call.LOST, answered=True)), FROZEN, False),
        (diverging(resuming(Call.LOST, answered=True), says=Status.PAUSED), THAWED, True),
    ],
)
def test_what_our_lost_call_left_is_mended_as_the_shim_says(
    record: Record, evidence: Contradicted, *, frozen: bool
) -> None:
    soon = step(record, answer(record, evidence), at(8.9), POLICY)
    assert not any(isinstance(effect, Heal) for effect in soon.effects)
    decision = step(record, answer(record, evidence), at(10), POLICY)
    assert decision.effects == (Heal(frozen=frozen),)
    assert "our own trace" in decision.entries[0].detail
    assert decision.persist
    opened = after(decision).open
    assert opened is not None
    assert opened.heals == 1
    mended = step(after(decision), HealEnded(epoch=record.epoch), at(11), POLICY)
    assert (after(mended).diverged, mended.effects) == (None, (Query(cause=Cause.SETTLE),))
    failed = step(after(decision), HealEnded(epoch=record.epoch, failure=FAILURE), at(11), POLICY)
    assert failed.effects == (Arm(delay_s=POLICY.settle_max_s),)


@pytest.mark.parametrize(
    ("record", "evidence"),
    [
        # Our call may still be the one that freezes it: hands off.
        (diverging(pausing(Call.ABANDONED, answered=True)), FROZEN),
        # No pause of ours leaves it PAUSED over running processes.
        (diverging(pausing(Call.LOST, answered=True), says=Status.PAUSED), THAWED),
        (diverging(resuming(Call.LOST, answered=True)), FROZEN),
        (diverging(pausing(Call.ANSWERED, answered=True)), FROZEN),
    ],
)
def test_what_is_not_known_to_be_ours_is_not_mended(record: Record, evidence: Contradicted) -> None:
    for seconds in (10, 70):
        decision = step(record, answer(record, evidence), at(seconds), POLICY)
        assert not any(isinstance(effect, Heal) for effect in decision.effects)


def test_an_operation_ends_shown_when_nothing_of_it_can_happen_any_more() -> None:
    answered = diverging(pausing(Call.ANSWERED, answered=True))
    over = after(step(answered, answer(answered, FROZEN), at(10), POLICY))
    assert (over.state, over.open) == (State.RUNNING, None)
    abandoned = diverging(pausing(Call.ABANDONED, answered=True))
    still = after(step(abandoned, answer(abandoned, FROZEN), at(59.9), POLICY))
    assert still.state is State.PAUSING
    given_up = after(step(still, answer(still, FROZEN), at(60), POLICY))
    assert (given_up.state, given_up.open) == (State.RUNNING, None)
    assert given_up.diverged is not None
    assert given_up.diverged.shown


def test_its_caller_is_told_of_the_failure_meanwhile() -> None:
    record = pausing(Call.LOST)
    decision = step(record, answer(record, FROZEN), at(1), POLICY)
    assert told(decision)["op2"] is not None
    assert any(isinstance(effect, Arm) for effect in decision.effects)


def test_it_gives_up_after_three_tries_and_shows_it() -> None:
    record = diverging(pausing(Call.LOST, answered=True))
    assert record.open is not None
    record = replace(record, open=replace(record.open, heals=HEALS_MAX))
    waits = step(record, answer(record, FROZEN), at(20), POLICY)
    assert not any(isinstance(effect, Heal) for effect in waits.effects)
    shown = after(step(record, answer(record, FROZEN), at(60), POLICY))
    assert (shown.open, shown.diverged is not None and shown.diverged.shown) == (None, True)


# --- repair ---------------------------------------------------------------------------------------

REPAIR = RepairRequested(op_id="op9")


@pytest.mark.parametrize(
    ("record", "frozen"), [(DIVERGED, False), (diverging(PAUSED, says=Status.PAUSED), True)]
)
def test_repair_makes_the_kernel_follow_the_shim(record: Record, *, frozen: bool) -> None:
    decision = step(record, REPAIR, at(20), POLICY)
    assert decision.effects == (Heal(frozen=frozen, op_id="op9"),)
    assert "repair requested" in decision.entries[0].detail
    ended = HealEnded(epoch=record.epoch, op_id="op9")
    healed = step(after(decision), ended, at(21), POLICY)
    assert healed.effects == (Complete(op_id="op9"), Query(cause=Cause.SETTLE))
    assert (healed.entries[0].cause, after(healed).diverged) == (Cause.RPC, None)
    failed = step(after(decision), replace(ended, failure=FAILURE), at(21), POLICY)
    assert failed.effects == (Complete(op_id="op9", fault=FAILURE),)
    assert after(failed).diverged == record.diverged


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (RUNNING, Reason.NOT_DIVERGED),
        (replace(DIVERGED, finished_at_ns=4), Reason.NOT_DIVERGED),
        (replace(DIVERGED, tombstone_at_ns=4), Reason.NOT_DIVERGED),
        (diverging(pausing()), Reason.PAUSE_IN_PROGRESS),
    ],
)
def test_repair_is_refused_where_there_is_nothing_to_mend(record: Record, reason: Reason) -> None:
    fault = told(step(record, REPAIR, at(20), POLICY))["op9"]
    assert fault is not None
    assert fault.reason is reason


@pytest.mark.parametrize("record", [EXITED, DELETED])
def test_a_mending_that_ends_too_late_only_answers(record: Record) -> None:
    ended = HealEnded(epoch=record.epoch, op_id="op9")
    decision = step(record, ended, at(20), POLICY)
    assert (decision.effects, decision.persist) == ((Complete(op_id="op9"),), False)
    assert step(record, replace(ended, op_id=""), at(20), POLICY).effects == ()


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_mending_says_nothing_of_an_operation_that_began_since(epoch: int) -> None:
    record = snapshotting(OpKind.ROLLBACK)
    decision = step(record, HealEnded(epoch=epoch, op_id="op9"), at(20), POLICY)
    assert (decision.record, decision.effects) == (record, (Complete(op_id="op9"),))
