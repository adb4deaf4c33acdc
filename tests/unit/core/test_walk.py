"""The whole product: every state x every input x every piece of evidence, none of it by chance."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import get_args

import pytest

from cubelet.core.bindings import INVALID_BASE
from cubelet.core.effects import (
    Arm,
    CallRuntime,
    Complete,
    Decision,
    Destroy,
    Forget,
    Heal,
    Join,
    Query,
    Replay,
)
from cubelet.core.evidence import Alive, Contradicted, Ended, Evidence, Gone, NoAnswer, Status
from cubelet.core.inputs import (
    Asked,
    CallOverdue,
    CallReturned,
    Cause,
    CommitRequested,
    CreateRequested,
    DeleteRequested,
    DestroyEnded,
    Expected,
    HealEnded,
    Input,
    LookRequested,
    Observed,
    PauseRequested,
    Recovered,
    Rediscovered,
    RepairRequested,
    ResumeRequested,
    RollbackRequested,
    Ticked,
)
from cubelet.core.machine import step
from cubelet.core.model import Call, OpKind, Record, State
from cubelet.core.policy import Policy
from cubelet.core.table import EDGES
from tests.support.records import (
    CATALOG,
    FAILURE,
    HANDLE,
    KEY,
    RUNNING,
    SPEC,
    TOLD,
    at,
    in_every_state,
)

POLICY = Policy()
EVIDENCE: list[Evidence] = [
    *(Alive(status=status, pid=2) for status in Status),
    *(
        Contradicted(says=says, frozen=says is not Status.PAUSED, pid=2)
        for says in (Status.RUNNING, Status.PAUSED)
    ),
    Alive(status=Status.RUNNING, pid=99),
    Alive(status=Status.RUNNING, pid=2, generation=7),
    Ended(exit_code=1, finished_at_ns=9),
    Gone(why="nothing there"),
    NoAnswer(why="silence"),
]
#: As it lies beside a sandbox: the record that its create began with.
FOUND = replace(RUNNING, revision=1, started_at_ns=0)
REQUESTS: list[Input] = [
    CreateRequested(op_id="op9", id="sb", namespace="default", incarnation="second", spec=SPEC),
    PauseRequested(op_id="op9"),
    PauseRequested(op_id="op9", expected=Expected(epoch=77)),
    PauseRequested(op_id="op9", expected=Expected(state=State.EXITED)),
    ResumeRequested(op_id="op9"),
    CommitRequested(op_id="op9", snapshot_id="snap9", catalog=CATALOG),
    CommitRequested(op_id="op9", snapshot_id="snap", catalog=CATALOG),
    RollbackRequested(op_id="op9", snapshot_id="snap", catalog=CATALOG),
    RollbackRequested(op_id="op9", snapshot_id=INVALID_BASE, catalog=CATALOG),
    RepairRequested(op_id="op9"),
    PauseRequested(op_id="op9", key=KEY),
    PauseRequested(op_id="op9", key=KEY, remembered=TOLD),
    PauseRequested(op_id="op9", key=replace(KEY, digest="other"), remembered=TOLD),
    DeleteRequested(op_id="op9", key=KEY),
    DeleteRequested(op_id="op9"),
    DeleteRequested(op_id="op9", key=KEY, lost=FOUND),
]
LIVE = {State.CREATED, State.RUNNING, State.PAUSING, State.PAUSED, State.RESUMING}


def inputs_for(record: Record | None) -> list[Input]:
    """Every input with the record's own epoch, with another one, and every piece of evidence."""
    epochs = [record.epoch, record.epoch - 1] if record else [1]
    phase = record.open.call if record and record.open else None
    calls = [CallOverdue(epoch=epoch, deadline_s=30.0) for epoch in epochs]
    returns = [
        CallReturned(epoch=epoch, kind=kind, call=call, failure=failure, handle=HANDLE)
        for epoch, kind, call, failure in itertools.product(
            epochs, OpKind, (Call.ANSWERED, Call.LOST), (None, FAILURE)
        )
    ]
    answers = [
        Observed(cause=cause, epoch=epoch, incarnation=incarnation, call=call, evidence=evidence)
        for cause, epoch, incarnation, call, evidence in itertools.product(
            Cause, epochs, ("first", "other"), {phase, None, Call.ANSWERED}, EVIDENCE
        )
    ]
    rest: list[Input] = [
        *(LookRequested(cause=cause) for cause in Cause),
        Ticked(),
        *(HealEnded(epoch=epoch) for epoch in epochs),
        *(HealEnded(epoch=epoch, op_id="op9", failure=FAILURE) for epoch in epochs),
        DestroyEnded(),
        DestroyEnded(failure=FAILURE),
        *(Recovered(boot_id=boot_id) for boot_id in ("", "boot1", "boot2")),
        *(
            Rediscovered(record=found, evidence=evidence, why="no file", boot_id=boot_id)
            for found, evidence, boot_id in itertools.product(
                (FOUND, replace(FOUND, handle=None)), EVIDENCE, ("boot1", "boot2")
            )
        ),
    ]
    return [*REQUESTS, *calls, *returns, *answers, *rest]


def walk() -> list[tuple[str, Record | None, Input, float]]:
    records: dict[str, Record | None] = {"none": None, **in_every_state()}
    return [
        (name, record, happened, seconds)
        for name, record in records.items()
        for happened in inputs_for(record)
        for seconds in (1.0, 70.0)
    ]


def test_the_walk_meets_every_kind_of_input_and_every_state() -> None:
    met = walk()
    assert {type(happened) for _, _, happened, _ in met} == set(get_args(Input))
    assert {record.state for _, record, _, _ in met if record} == set(State)


def test_every_pair_is_decided_and_no_rule_is_broken() -> None:
    for name, record, happened, seconds in walk():
        decision = step(record, happened, at(seconds), POLICY)
        try:
            check(record, happened, decision)
        except AssertionError as broken:
            raise AssertionError(f"{name} x {happened}") from broken


def check(before: Record | None, happened: Input, decision: Decision) -> None:
    after = decision.record
    check_writing(before, happened, decision)
    check_keys(before, decision)
    if before is not None:
        check_endings(before, happened, after, decision)
        check_progress(before, happened, decision)
        check_destruction(before, happened, decision)
        if after is not None:
            check_bindings(before, happened, after)
            check_beginnings(before, happened, after)
    for effect in decision.effects:
        if isinstance(effect, CallRuntime | Query | Heal | Destroy):
            assert after is not None
    if isinstance(happened, Asked) and not isinstance(happened, DeleteRequested):
        ways = (Complete, Replay, Join, CallRuntime, Heal)
        assert sum(isinstance(effect, ways) for effect in decision.effects) == 1


def check_writing(before: Record | None, happened: Input, decision: Decision) -> None:
    """A change that others may rely on is written, once, by a cause that may write it."""
    after = decision.record
    states = (before.state if before else None, after.state if after else None)
    if not decision.persist:
        assert decision.entries == ()
        assert states[0] is states[1]
        return
    (entry,) = decision.entries
    assert entry.before is states[0]
    if after is not None:
        assert entry.after is after.state
        lost = isinstance(happened, Rediscovered | DeleteRequested) and before is None
        known = after.created_at_ns if lost else before.revision if before else 0
        assert after.revision == entry.revision
        assert after.revision > known if lost else after.revision == known + 1
    if entry.before is not entry.after:
        assert entry.cause in EDGES[entry.before, entry.after]


def check_endings(
    before: Record, happened: Input, after: Record | None, decision: Decision
) -> None:
    if after is None:
        assert (before.state, happened) == (State.DELETED, DestroyEnded())
        assert Forget() in decision.effects
        return
    if before.state is State.DELETED:
        assert after.state is State.DELETED
    if before.state is State.EXITED:
        assert after.state in {State.EXITED, State.DELETED}
    if after.state is State.CREATED:
        assert after.open is not None  # Nothing else would ever end that state.
    if after.state is State.EXITED and before.state in LIVE:
        if isinstance(happened, Recovered):
            assert (before.boot_id, happened.boot_id) == ("boot1", "boot2")
            return
        assert isinstance(happened, Observed)
        assert isinstance(happened.evidence, Ended | Gone)
        assert happened.incarnation == before.incarnation
    if isinstance(happened, Observed) and isinstance(happened.evidence, NoAnswer):
        half_made = before.state is State.CREATED and before.handle is None
        assert after.state is (State.DELETED if half_made and after is not before else before.state)
    if before.open and before.open.call is Call.IN_FLIGHT and isinstance(happened, Observed):
        assert after is before
    assert after.epoch - before.epoch in {0, 1}
    assert after.open is None or after.epoch >= after.open.epoch


def is_half_made(record: Record) -> bool:
    """A create that failed, whose undoing the store has refused."""
    op = record.open
    return op is not None and op.kind is OpKind.CREATE and record.handle is None


def check_beginnings(before: Record, happened: Input, after: Record) -> None:
    """Nothing but a caller begins an operation."""
    known = before.open.op_id if before.open else None
    if after.open is not None and after.open.op_id != known:
        assert isinstance(happened, Asked)
        assert after.epoch == before.epoch + 1


def check_bindings(before: Record, happened: Input, after: Record) -> None:
    """Invalid before the shim is asked, valid only by what a call of ours told, in time."""
    op, asked = before.open, after.open
    proof = isinstance(happened, CallReturned) and happened.failure is None
    if after.bindings != before.bindings and not isinstance(happened, Asked):
        assert after.bindings.invalid or (proof and op is not None and op.call is Call.IN_FLIGHT)
    if before.bindings.invalid and not after.bindings.invalid:
        begun = isinstance(happened, CommitRequested)
        proven = op is not None and op.kind in {OpKind.COMMIT, OpKind.ROLLBACK, OpKind.CREATE}
        assert (begun and not after.bindings.runtime.proven) or (proof and proven)
    if asked is None or asked is op or not after.opaque_restore:
        return
    if asked.kind in {OpKind.RESUME, OpKind.ROLLBACK} and op is None:
        assert after.bindings.invalid
    if asked.kind is OpKind.COMMIT and op is None:
        assert not after.bindings.runtime.proven


def check_keys(before: Record | None, decision: Decision) -> None:
    """Each key gets one outcome, the one that its callers are told."""
    values = [one.key.value for one in decision.outcomes]
    assert len(values) == len(set(values))
    op = before.open if before else None
    answers = [one for one in decision.effects if isinstance(one, Complete)]
    for one in decision.outcomes:
        assert decision.persist
        assert (one.record is None) == (one.fault is not None or one.op_id == "")
        if one.record is not None:
            assert one.record == decision.record
        if op is not None and one.op_id == op.op_id:
            assert one.fault is not None or op.failure is None
            assert Complete(op_id=op.op_id, fault=one.fault) in answers


def check_progress(before: Record, happened: Input, decision: Decision) -> None:
    """What stays open after an answer is asked about again: nothing is ever stuck."""
    after = decision.record
    if after is None or after.open is None or not isinstance(happened, Observed | HealEnded):
        return
    if after.open.call is Call.IN_FLIGHT or after.state is State.DELETED:
        return
    op = before.open
    asked_about = (before.epoch, before.incarnation, op.call if op else None)
    if isinstance(happened, Observed):
        about = (happened.epoch, happened.incarnation, happened.call)
        if about != asked_about:
            return  # Whatever overtook the question has asked its own.
    if isinstance(happened, HealEnded) and happened.epoch != before.epoch:
        return  # So has whatever began since it was started.
    assert any(isinstance(effect, Arm | Heal | Query) for effect in decision.effects)


def check_destruction(before: Record, happened: Input, decision: Decision) -> None:
    """Only a deletion destroys, an undone create, or a dead record's time or its host's end."""
    if not any(isinstance(effect, Destroy) for effect in decision.effects):
        return
    assert decision.record is not None
    assert decision.record.tombstone_at_ns or decision.record.leftovers
    if isinstance(happened, Recovered) and not before.leftovers:
        assert before.tombstone_at_ns or happened.boot_id == "boot2"
        return
    if isinstance(happened, Observed):
        assert is_half_made(before)
    if before.diverged is not None and not before.finished_at_ns:
        assert isinstance(happened, DeleteRequested) or before.tombstone_at_ns


def test_a_failed_call_never_completes_with_success() -> None:
    for name, record, happened, seconds in walk():
        if record is None or record.open is None or record.open.failure is None:
            continue
        decision = step(record, happened, at(seconds), POLICY)
        for effect in decision.effects:
            if isinstance(effect, Complete) and effect.op_id == record.open.op_id:
                assert effect.fault is not None, f"{name} x {happened}"


def test_a_caller_is_answered_once() -> None:
    for _, record, happened, seconds in walk():
        if record is None or record.open is None or not record.open.answered:
            continue
        decision = step(record, happened, at(seconds), POLICY)
        assert not any(
            isinstance(effect, Complete) and effect.op_id == record.open.op_id
            for effect in decision.effects
        )


def test_an_unwritten_edge_is_refused_by_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    edges = {edge: causes for edge, causes in EDGES.items() if edge[1] is not State.PAUSING}
    monkeypatch.setattr("cubelet.core.edges.EDGES", edges)
    running = in_every_state()["running"]
    with pytest.raises(AssertionError, match="no edge RUNNING -> PAUSING by rpc"):
        step(running, PauseRequested(op_id="op9"), at(1), POLICY)


def test_terminal_records_cannot_be_written_by_any_edge() -> None:
    assert {after for before, after in EDGES if before is State.EXITED} == {State.DELETED}
    assert not [after for before, after in EDGES if before is State.DELETED]


def test_the_records_of_the_walk_are_as_they_say() -> None:
    for name, record in in_every_state().items():
        assert record.state.lower() == name.split(",")[0].split(" ")[0]
        assert replace(record) == record
