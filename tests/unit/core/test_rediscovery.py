"""A sandbox without a record is made known again by what its shim says, and by nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cubelet.core.bindings import TEMPLATE_ID_KEY, Mode, plan_commit
from cubelet.core.effects import CompleteDeletes, Destroy, Forget
from cubelet.core.evidence import Alive, Contradicted, Ended, Evidence, Gone, NoAnswer, Status
from cubelet.core.inputs import Cause, DeleteRequested, DestroyEnded, Rediscovered
from cubelet.core.machine import step
from cubelet.core.model import Divergence, Record, State
from cubelet.core.policy import Policy
from tests.support.records import CATALOG, KEY, RUNNING, SPEC, after, at

POLICY = Policy()
FOUND = replace(RUNNING, revision=1, started_at_ns=0)


def found(evidence: Evidence | Status, record: Record = FOUND, boot_id: str = "") -> Rediscovered:
    said = Alive(status=evidence, pid=2) if isinstance(evidence, Status) else evidence
    return Rediscovered(record=record, evidence=said, why="there was no file", boot_id=boot_id)


@pytest.mark.parametrize(
    ("evidence", "state"),
    [
        (Status.RUNNING, State.RUNNING),
        (Status.PAUSED, State.PAUSED),
        (Ended(exit_code=3, finished_at_ns=9), State.EXITED),
        (Gone(why="no process"), State.EXITED),
    ],
)
def test_it_is_what_its_shim_says(evidence: Evidence | Status, state: State) -> None:
    decision = step(None, found(evidence), at(1), POLICY)
    (entry,) = decision.entries
    assert (after(decision).state, entry.before, entry.cause) == (state, None, Cause.RECOVERY)
    assert "its record was lost (there was no file)" in entry.detail
    assert (after(decision).remade_why, decision.synced) == ("there was no file", True)
    assert decision.effects == ()


def test_an_end_has_what_the_shim_told_of_it() -> None:
    record = after(step(None, found(Ended(exit_code=3, finished_at_ns=9)), at(1), POLICY))
    assert (record.exit_code, record.finished_at_ns, record.leftovers) == (3, 9, False)
    assert record.finished_mono_s == at(1).mono_s


@pytest.mark.parametrize(
    "evidence",
    [
        NoAnswer(why="silence"),
        Status.PAUSING,
        Alive(status=Status.RUNNING, pid=99),
        Alive(status=Status.CREATED, pid=99),
    ],
)
def test_who_does_not_say_what_it_is_stays_unknown(evidence: Evidence | Status) -> None:
    decision = step(None, found(evidence), at(1), POLICY)
    assert (decision.record, decision.persist, decision.effects) == (None, False, ())


@pytest.mark.parametrize(("says", "frozen"), [(Status.RUNNING, True), (Status.PAUSED, False)])
def test_shim_and_witness_in_disagreement_make_it_known_and_busy(
    says: Status, *, frozen: bool
) -> None:
    split = Contradicted(says=says, frozen=frozen, pid=2)
    record = after(step(None, found(split), at(1), POLICY))
    assert record.state.value == says.value
    assert record.diverged == Divergence(says=says, frozen=frozen, since=at(1))


@pytest.mark.parametrize("opaque", [True, False])
def test_no_commit_builds_on_what_nobody_knows_any_more(*, opaque: bool) -> None:
    """Not even where the catalog is there, and the create's annotation names a snapshot in it."""
    spec = replace(SPEC, annotations={TEMPLATE_ID_KEY: "snap"})
    record = replace(FOUND, spec=spec, opaque_restore=opaque)
    remade = after(step(None, found(Status.RUNNING, record), at(1), POLICY))
    assert remade.bindings.invalid
    plan = plan_commit("new", remade.bindings, remade.spec.annotations, CATALOG)
    assert (plan.mode, plan.base_id) == (Mode.FULL, "")


def test_its_numbers_are_above_all_that_it_can_have_had() -> None:
    first = after(step(None, found(Status.RUNNING), at(1), POLICY))
    assert first.revision > at(0).wall_ns // 1000
    assert first.epoch >= at(1).wall_ns // 1000
    assert first.revision < 2**53
    again = after(step(None, found(Status.RUNNING), at(2), POLICY))
    a_second_of_changes = 500_000
    assert again.revision > first.revision + a_second_of_changes
    assert again.epoch > first.epoch + a_second_of_changes


@pytest.mark.parametrize("evidence", [Status.RUNNING, NoAnswer(why="silence"), Gone(why="x")])
@pytest.mark.parametrize("pid", [None, 0])
def test_a_create_without_a_process_was_never_answered_and_is_undone(
    evidence: Evidence | Status, pid: int | None
) -> None:
    assert FOUND.handle is not None
    handle = None if pid is None else replace(FOUND.handle, pid=pid)
    decision = step(None, found(evidence, replace(FOUND, handle=handle)), at(1), POLICY)
    assert (after(decision).state, decision.effects) == (State.DELETED, (Destroy(),))
    assert "its create was cut short" in decision.entries[0].detail
    gone = step(after(decision), DestroyEnded(), at(2), POLICY)
    assert (gone.record, Forget() in gone.effects) == (None, True)


def test_a_process_that_was_never_let_go_was_never_answered_either() -> None:
    decision = step(None, found(Status.CREATED), at(1), POLICY)
    assert (after(decision).state, decision.effects) == (State.DELETED, (Destroy(),))


def test_after_a_restart_of_the_host_nobody_is_believed() -> None:
    decision = step(None, found(Status.RUNNING, boot_id="boot2"), at(1), POLICY)
    record = after(decision)
    assert (record.state, record.leftovers, record.boot_id) == (State.EXITED, True, "boot2")
    assert (record.exit_reason, decision.effects) == ("gone: the host was restarted", (Destroy(),))
    same = step(None, found(Status.RUNNING, boot_id="boot1"), at(1), POLICY)
    assert after(same).state is State.RUNNING


def test_a_hung_one_can_be_deleted_and_stays_so() -> None:
    request = DeleteRequested(op_id="op9", key=KEY, lost=FOUND)
    decision = step(None, request, at(1), POLICY)
    record = after(decision)
    assert (record.state, record.delete_keys) == (State.DELETED, (KEY,))
    assert (decision.entries[0].cause, decision.effects) == (Cause.RPC, (Destroy(),))
    late = step(record, found(Status.RUNNING), at(2), POLICY)
    assert (late.record, late.persist) == (record, False)
    gone = step(record, DestroyEnded(), at(3), POLICY)
    assert CompleteDeletes(fault=None) in gone.effects
    assert [outcome.key for outcome in gone.outcomes] == [KEY]


def test_what_is_known_by_now_is_deleted_as_it_is() -> None:
    decision = step(RUNNING, DeleteRequested(op_id="op9", lost=FOUND), at(1), POLICY)
    assert after(decision).epoch == RUNNING.epoch + 1
