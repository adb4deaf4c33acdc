"""What each request does in each state, and what a refusal says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cubelet.core import calls
from cubelet.core.effects import CallRuntime, Complete, Destroy
from cubelet.core.evidence import Ended, Gone
from cubelet.core.faults import Code, CubeletError, Fault, Reason
from cubelet.core.ids import check_id
from cubelet.core.inputs import (
    CallReturned,
    Cause,
    CreateRequested,
    DeleteRequested,
    Input,
    Observed,
    PauseRequested,
    Request,
    ResumeRequested,
)
from cubelet.core.machine import step
from cubelet.core.model import Call, OpKind, Record, State
from cubelet.core.policy import Policy
from cubelet.core.table import REQUESTS, Start, Verb
from tests.support.records import (
    CREATED,
    DELETED,
    EXITED,
    FAILURE,
    HANDLE,
    PAUSED,
    RUNNING,
    SPEC,
    at,
    pausing,
    resuming,
)

POLICY = Policy()
OPEN_PAUSE = pausing(Call.ABANDONED, answered=True)
OPEN_RESUME = resuming(Call.ABANDONED, answered=True)


def refusal(record: Record | None, request: Request) -> Fault:
    decision = step(record, request, at(1), POLICY)
    (effect,) = decision.effects
    assert isinstance(effect, Complete)
    assert effect.fault is not None
    assert (decision.record, decision.persist) == (record, False)
    return effect.fault


def test_the_table_is_complete() -> None:
    assert set(REQUESTS) == {(state, request) for state in State for request in Verb}
    starts = {key: rule.kind for key, rule in REQUESTS.items() if isinstance(rule, Start)}
    assert starts == {
        (State.RUNNING, Verb.PAUSE): OpKind.PAUSE,
        (State.PAUSED, Verb.RESUME): OpKind.RESUME,
        (State.RUNNING, Verb.COMMIT): OpKind.COMMIT,
        (State.RUNNING, Verb.ROLLBACK): OpKind.ROLLBACK,
    }


@pytest.mark.parametrize(
    ("record", "pause", "resume"),
    [
        (CREATED, Reason.CREATE_IN_PROGRESS, Reason.CREATE_IN_PROGRESS),
        (RUNNING, None, Reason.ALREADY_RUNNING),
        (OPEN_PAUSE, Reason.PAUSE_IN_PROGRESS, Reason.PAUSE_IN_PROGRESS),
        (PAUSED, Reason.ALREADY_PAUSED, None),
        (OPEN_RESUME, Reason.RESUME_IN_PROGRESS, Reason.RESUME_IN_PROGRESS),
        (EXITED, Reason.NOT_RUNNING, Reason.NOT_RUNNING),
        (DELETED, Reason.DELETE_IN_PROGRESS, Reason.DELETE_IN_PROGRESS),
    ],
)
def test_what_is_not_allowed_is_refused_with_its_reason(
    record: Record, pause: Reason | None, resume: Reason | None
) -> None:
    for request, reason in (
        (PauseRequested(op_id="op9"), pause),
        (ResumeRequested(op_id="op9"), resume),
    ):
        if reason is not None:
            fault = refusal(record, request)
            assert fault.reason is reason
            assert "sandbox sb" in fault.message


@pytest.mark.parametrize(
    ("record", "request_", "state", "kind"),
    [
        (RUNNING, PauseRequested(op_id="op9"), State.PAUSING, OpKind.PAUSE),
        (PAUSED, ResumeRequested(op_id="op9"), State.RESUMING, OpKind.RESUME),
    ],
)
def test_an_operation_begins_with_its_intent(
    record: Record, request_: PauseRequested | ResumeRequested, state: State, kind: OpKind
) -> None:
    decision = step(record, request_, at(1), POLICY)
    assert decision.record is not None
    assert (decision.record.state, decision.record.epoch) == (state, record.epoch + 1)
    assert decision.persist
    assert decision.effects == (CallRuntime(kind=kind, epoch=record.epoch + 1),)


def test_only_what_a_power_cut_could_make_wrong_is_synced_before_the_call() -> None:
    def synced(record: Record | None, request: Input) -> bool:
        return step(record, request, at(1), POLICY).synced

    assert not synced(RUNNING, PauseRequested(op_id="op9"))
    assert not synced(PAUSED, ResumeRequested(op_id="op9"))
    assert synced(replace(PAUSED, opaque_restore=True), ResumeRequested(op_id="op9"))
    assert synced(RUNNING, DeleteRequested(op_id="op9"))
    paused = CallReturned(epoch=2, kind=OpKind.PAUSE, call=Call.ANSWERED)
    assert synced(pausing(), paused)


def test_what_nobody_has_cannot_be_asked_for() -> None:
    assert refusal(None, PauseRequested(op_id="op9")).code is Code.NOT_FOUND
    assert refusal(None, DeleteRequested(op_id="op9")).reason is Reason.SANDBOX_NOT_FOUND


def test_a_taken_id_is_refused() -> None:
    request = CreateRequested(
        op_id="op9", id="sb", namespace="default", incarnation="second", spec=SPEC
    )
    (effect,) = step(EXITED, request, at(1), POLICY).effects
    assert isinstance(effect, Complete)
    assert effect.fault is not None
    assert effect.fault.code is Code.ALREADY_EXISTS


@pytest.mark.parametrize("record", [RUNNING, PAUSED, EXITED, pausing(), resuming()])
def test_delete_is_accepted_at_once_in_every_state(record: Record) -> None:
    decision = step(record, DeleteRequested(op_id="op9"), at(1), POLICY)
    assert decision.record is not None
    assert decision.record.state is State.DELETED
    assert decision.record.open is None
    assert decision.effects[-1] == Destroy()
    told = [effect.op_id for effect in decision.effects if isinstance(effect, Complete)]
    assert told == ([record.open.op_id] if record.open else [])


def test_delete_again_destroys_again() -> None:
    decision = step(DELETED, DeleteRequested(op_id="op9"), at(1), POLICY)
    assert (decision.effects, decision.persist) == ((Destroy(),), False)


def test_an_end_keeps_what_is_known_of_it() -> None:
    def ended(evidence: Ended | Gone) -> Record:
        answer = Observed(
            cause=Cause.EVENT, epoch=1, incarnation="first", call=None, evidence=evidence
        )
        record = step(RUNNING, answer, at(1), POLICY).record
        assert record is not None
        return record

    known = ended(Ended(exit_code=3, finished_at_ns=77))
    assert (known.exit_code, known.finished_at_ns) == (3, 77)
    assert ended(Ended(exit_code=3, finished_at_ns=0)).finished_at_ns == at(1).wall_ns
    gone = ended(Gone(why="no process"))
    assert (gone.exit_code, "no process" in gone.exit_reason) == (None, True)


def test_an_outcome_that_was_not_written_leaves_the_operation_open_and_answered() -> None:
    store_failed = Fault(code=Code.UNAVAILABLE, reason=Reason.STORE_FAILED, message="disk full")
    returned = CallReturned(epoch=1, kind=OpKind.CREATE, call=Call.ANSWERED, handle=HANDLE)
    record = calls.not_written(CREATED, returned, store_failed)
    assert record.open is not None
    assert (record.open.call, record.open.answered) == (Call.ANSWERED, True)
    assert (record.open.failure, record.handle) == (store_failed, HANDLE)
    assert calls.not_written(RUNNING, returned, store_failed) is RUNNING
    failed = calls.not_written(CREATED, replace(returned, failure=FAILURE), store_failed)
    assert failed.open is not None
    assert failed.open.failure == replace(
        store_failed, message="disk full; before that: runc said no"
    )
    stale = replace(returned, epoch=7, failure=FAILURE)
    assert calls.not_written(CREATED, stale, store_failed) is CREATED


@pytest.mark.parametrize("text", ["a", "0" * 76, "a.b_c-d", "A1"])
def test_ids(text: str) -> None:
    assert check_id(text, "sandbox id") == text


@pytest.mark.parametrize("text", ["", "-a", "a-", "a..b", "a/b", "../x", "a\n", "ä", "0" * 77])
def test_what_is_no_id_is_named_and_explained(text: str) -> None:
    with pytest.raises(CubeletError, match=r"sandbox id .* is not an id: use letters") as caught:
        check_id(text, "sandbox id")
    assert caught.value.fault.code is Code.INVALID_ARGUMENT
    assert not caught.value.fault.retryable
