"""The rows of the binding table: what a sandbox is bound to after each event, and the base then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cubelet.core.bindings import (
    INVALID_BASE,
    RESTORE_ID_KEY,
    RUNTIME_ID_KEY,
    TEMPLATE_ID_KEY,
    Binding,
    Bindings,
    Mode,
    bound_to,
    plan_commit,
)
from cubelet.core.evidence import Alive, Evidence, NoAnswer, Status
from cubelet.core.inputs import (
    CallOverdue,
    CallReturned,
    Cause,
    DeleteRequested,
    LookRequested,
    PauseRequested,
    Recovered,
    ResumeRequested,
)
from cubelet.core.machine import step
from cubelet.core.model import Call, OpKind, Record
from cubelet.core.policy import Policy
from tests.support.records import (
    CATALOG,
    CREATED,
    FAILURE,
    HANDLE,
    PAUSED,
    RUNNING,
    after,
    answer,
    at,
    op,
    pausing,
    resuming,
    snapshotting,
)

POLICY = Policy()
BOUND = bound_to("snap", at_ns=1, generation=3)
SINCE_5_S = Binding(snapshot_id=INVALID_BASE, attached_at_ns=at(5).wall_ns)
INVALID = Bindings(runtime=SINCE_5_S, restore=SINCE_5_S, generation=3)


def bound(record: Record, bindings: Bindings = BOUND) -> Record:
    """The same, bound, on a runtime that restores."""
    return replace(record, opaque_restore=True, bindings=bindings)


def ended_well(record: Record, *, generation: int = 3) -> Bindings:
    """The bindings after the record's open call has succeeded."""
    assert record.open is not None
    returned = CallReturned(
        epoch=record.open.epoch,
        kind=record.open.kind,
        call=Call.ANSWERED,
        handle=replace(HANDLE, generation=generation) if record is not RUNNING else None,
        generation=generation,
    )
    return after(step(record, returned, at(5), POLICY)).bindings


# --- each row of the table ------------------------------------------------------------------------


def test_a_create_from_a_snapshot_binds_both_to_it() -> None:
    spec = replace(CREATED.spec, snapshot="snap")
    expected = bound_to("snap", at_ns=at(5).wall_ns, generation=4)
    assert ended_well(replace(CREATED, spec=spec), generation=4) == expected


def test_a_create_from_nothing_binds_nothing_and_knows_the_generation() -> None:
    assert ended_well(CREATED, generation=4) == Bindings(generation=4)


def test_a_commit_binds_the_first_and_leaves_the_second() -> None:
    expected = replace(
        BOUND, runtime=Binding(snapshot_id="snap8", attached_at_ns=at(5).wall_ns), generation=3
    )
    assert ended_well(bound(snapshotting(OpKind.COMMIT))) == expected


def test_a_commit_after_a_restore_that_nobody_told_of_gives_the_second_up() -> None:
    bindings = ended_well(bound(snapshotting(OpKind.COMMIT)), generation=4)
    assert (bindings.runtime.snapshot_id, bindings.generation) == ("snap8", 4)
    assert bindings.restore == SINCE_5_S


def test_a_rollback_binds_both_to_its_target() -> None:
    rolled = ended_well(bound(snapshotting(OpKind.ROLLBACK), INVALID), generation=4)
    assert rolled == bound_to("snap8", at_ns=at(5).wall_ns, generation=4)


@pytest.mark.parametrize("record", [RUNNING, pausing(), pausing(Call.LOST)])
def test_a_pause_leaves_both_by_any_path(record: Record) -> None:
    record = bound(record)
    if record.open is None:
        decision = step(record, PauseRequested(op_id="op9"), at(5), POLICY)
    elif record.open.call is Call.IN_FLIGHT:
        returned = CallReturned(epoch=2, kind=OpKind.PAUSE, call=Call.ANSWERED, generation=9)
        decision = step(record, returned, at(5), POLICY)
    else:
        decision = step(record, answer(record, Status.PAUSED), at(5), POLICY)
    assert after(decision).bindings == BOUND


def test_a_resume_makes_both_the_sentinel_with_its_intent() -> None:
    decision = step(bound(PAUSED), ResumeRequested(op_id="op9"), at(5), POLICY)
    assert after(decision).bindings == INVALID
    assert "bindings invalidated" in decision.entries[0].detail
    assert decision.synced


def test_a_resume_on_a_runtime_that_only_thaws_leaves_both() -> None:
    record = replace(PAUSED, bindings=BOUND)
    intent = after(step(record, ResumeRequested(op_id="op9"), at(5), POLICY))
    assert intent.bindings == BOUND
    assert ended_well(replace(resuming(), bindings=BOUND)) == BOUND


# --- once per restore, whoever did it -------------------------------------------------------------


@pytest.mark.parametrize("cause", sorted(set(Cause) - {Cause.SWEEP}))
def test_a_resume_behind_our_back_makes_both_the_sentinel_by_every_cause(cause: Cause) -> None:
    record = bound(PAUSED)
    decision = step(record, answer(record, Status.RUNNING, cause), at(5), POLICY)
    assert after(decision).bindings == INVALID
    assert "bindings invalidated" in decision.entries[0].detail


def test_a_new_agent_asks_and_learns_of_the_resume() -> None:
    recovered = after(step(bound(PAUSED), Recovered(), at(4), POLICY))
    seen = answer(recovered, Status.RUNNING, Cause.RECOVERY)
    assert after(step(recovered, seen, at(5), POLICY)).bindings == INVALID


def test_a_restore_between_two_looks_shows_by_its_generation() -> None:
    record = bound(RUNNING)
    seen = answer(record, Alive(status=Status.RUNNING, pid=2, generation=4))
    decision = step(record, seen, at(5), POLICY)
    assert after(decision).bindings == INVALID
    assert len(decision.entries) == 1


@pytest.mark.parametrize("generation", [None, 3])
def test_the_generation_of_the_bindings_and_none_say_nothing(generation: int | None) -> None:
    record = bound(RUNNING)
    seen = answer(record, Alive(status=Status.RUNNING, pid=2, generation=generation))
    decision = step(record, seen, at(5), POLICY)
    assert (after(decision).bindings, decision.persist) == (BOUND, False)


def test_an_invalidation_is_written_once_and_keeps_its_stamp() -> None:
    record = bound(PAUSED, INVALID)
    begun = step(record, ResumeRequested(op_id="op9"), at(6), POLICY)
    assert after(begun).bindings == INVALID
    assert "invalidated" not in begun.entries[0].detail
    seen = answer(record, Alive(status=Status.PAUSED, pid=2, generation=8))
    again = step(record, seen, at(7), POLICY)
    assert (after(again).bindings, again.persist) == (INVALID, False)


@pytest.mark.parametrize(
    "late",
    [
        LookRequested(cause=Cause.EVENT),
        CallReturned(epoch=3, kind=OpKind.RESUME, call=Call.ANSWERED, generation=4),
        CallOverdue(epoch=3, deadline_s=30),
    ],
)
def test_what_comes_late_after_a_new_commit_drops_nothing(
    late: LookRequested | CallReturned | CallOverdue,
) -> None:
    record = bound(replace(RUNNING, epoch=4))
    assert after(step(record, late, at(5), POLICY)).bindings == BOUND


@pytest.mark.parametrize("status", Status)
def test_an_answer_never_makes_an_invalid_binding_valid(status: Status) -> None:
    for opened in (resuming(Call.LOST), snapshotting(OpKind.ROLLBACK, Call.LOST)):
        record = bound(opened, INVALID)
        for seconds in (1.0, 70.0):
            decision = step(record, answer(record, status), at(seconds), POLICY)
            assert after(decision).bindings == INVALID


@pytest.mark.parametrize("failure", [None, FAILURE])
def test_a_late_success_is_a_reason_to_look_and_binds_nothing(failure: None) -> None:
    record = bound(snapshotting(OpKind.ROLLBACK, Call.ABANDONED), INVALID)
    returned = CallReturned(
        epoch=2, kind=OpKind.ROLLBACK, call=Call.ANSWERED, failure=failure, generation=4
    )
    assert after(step(record, returned, at(61), POLICY)).bindings == INVALID


@pytest.mark.parametrize("happened", [DeleteRequested(op_id="op9"), Recovered()])
def test_an_open_snapshot_is_not_proven_by_what_cuts_it_short(
    happened: DeleteRequested | Recovered,
) -> None:
    pending = replace(BOUND, runtime=Binding(snapshot_id="snap8", proven=False))
    record = bound(snapshotting(OpKind.COMMIT, Call.LOST), pending)
    assert after(step(record, happened, at(5), POLICY)).bindings == pending


def test_no_answer_changes_no_binding() -> None:
    evidence: Evidence = NoAnswer(why="silence")
    record = bound(PAUSED)
    assert after(step(record, answer(record, evidence), at(5), POLICY)).bindings == BOUND


# --- the choice of the base -----------------------------------------------------------------------

OTHER = {**CATALOG, "other": replace(CATALOG["snap"], id="other")}


@pytest.mark.parametrize(
    ("bindings", "annotations", "mode", "base"),
    [
        (BOUND, {}, Mode.SOFT_DIRTY, "snap"),
        (replace(BOUND, runtime=Binding(snapshot_id="lost")), {}, Mode.INCREMENTAL, "snap"),
        (
            replace(BOUND, runtime=Binding(snapshot_id="other", proven=False)),
            {},
            Mode.INCREMENTAL,
            "snap",
        ),
        (Bindings(), {}, Mode.FULL, ""),
        (Bindings(), {RUNTIME_ID_KEY: "snap"}, Mode.SOFT_DIRTY, "snap"),
        (Bindings(), {TEMPLATE_ID_KEY: "snap"}, Mode.SOFT_DIRTY, "snap"),
        (Bindings(), {RUNTIME_ID_KEY: "lost", RESTORE_ID_KEY: "snap"}, Mode.INCREMENTAL, "snap"),
        (Bindings(), {TEMPLATE_ID_KEY: "lost"}, Mode.FULL, ""),
        (INVALID, {RUNTIME_ID_KEY: "snap", RESTORE_ID_KEY: "snap"}, Mode.FULL, ""),
        (INVALID, {TEMPLATE_ID_KEY: "snap"}, Mode.FULL, ""),
        (bound_to("lost", at_ns=1, generation=1), {TEMPLATE_ID_KEY: "snap"}, Mode.FULL, ""),
    ],
)
def test_the_base_is_the_cheapest_one_that_is_true(
    bindings: Bindings, annotations: dict[str, str], mode: Mode, base: str
) -> None:
    plan = plan_commit("new", bindings, annotations, OTHER)
    assert (plan.snapshot_id, plan.mode, plan.base_id) == ("new", mode, base)
    assert plan.generation == (bindings.generation if base else None)


def test_the_sentinel_is_no_base_even_where_a_catalog_has_such_a_name() -> None:
    poisoned = {INVALID_BASE: replace(CATALOG["snap"], id=INVALID_BASE)}
    assert plan_commit("new", INVALID, {}, poisoned).mode is Mode.FULL
    assert plan_commit("new", Bindings(), {RUNTIME_ID_KEY: INVALID_BASE}, poisoned).base_id == ""


def test_a_binding_is_invalid_only_if_both_are() -> None:
    half = Bindings(runtime=SINCE_5_S, restore=BOUND.restore)
    assert (INVALID.invalid, half.invalid, BOUND.invalid) == (True, False, False)
    assert op(OpKind.COMMIT).plan is None
