"""A new agent over an old record: what was in flight is lost, and the shim is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cubelet.core.effects import Destroy, Query
from cubelet.core.evidence import Gone, NoAnswer, Status
from cubelet.core.faults import Reason
from cubelet.core.inputs import Cause, DestroyEnded, Recovered, Ticked
from cubelet.core.machine import step
from cubelet.core.model import Call, LastSeen, OpKind, Record, State
from cubelet.core.policy import Policy
from tests.support.records import (
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
    with_keys,
)

POLICY = Policy()
ASKS = (Query(cause=Cause.RECOVERY),)


@pytest.mark.parametrize("record", [RUNNING, PAUSED])
def test_what_lives_is_asked_and_stays_what_it_is(record: Record) -> None:
    decision = step(record, Recovered(), at(1), POLICY)
    assert (decision.record, decision.effects, decision.persist) == (record, ASKS, False)


@pytest.mark.parametrize("call", Call)
@pytest.mark.parametrize("kind", list(OpKind))
def test_an_open_call_is_lost_and_its_loop_begins_anew(kind: OpKind, call: Call) -> None:
    record = {
        OpKind.CREATE: CREATED,
        OpKind.PAUSE: pausing(call),
        OpKind.RESUME: resuming(call),
        OpKind.COMMIT: snapshotting(OpKind.COMMIT, call),
        OpKind.ROLLBACK: snapshotting(OpKind.ROLLBACK, call),
    }[kind]
    assert record.open is not None
    worn = replace(record.open, attempt=9, heals=3, contradicted_mono_s=1.0)
    decision = step(replace(record, open=worn), Recovered(), at(1), POLICY)
    op = after(decision).open
    assert op is not None
    assert (op.call, op.attempt, op.heals, op.contradicted_mono_s) == (Call.LOST, 0, 0, None)
    assert (decision.effects, after(decision).state) == (ASKS, record.state)


@pytest.mark.parametrize("evidence", [Status.RUNNING, NoAnswer(why="silence")])
def test_a_create_cut_short_is_undone_with_the_first_look(evidence: Status | NoAnswer) -> None:
    lost = after(step(with_keys(CREATED), Recovered(), at(1), POLICY))
    decision = step(lost, answer(lost, evidence, Cause.RECOVERY), at(2), POLICY)
    assert (after(decision).state, decision.effects) == (State.DELETED, (Destroy(),))
    gone = step(after(decision), DestroyEnded(), at(3), POLICY)
    reasons = [outcome.fault.reason for outcome in gone.outcomes if outcome.fault]
    assert reasons == [Reason.AGENT_RESTARTED] * 2


def test_a_deletion_goes_on_and_tells_the_create_it_cut_short() -> None:
    assert step(DELETED, Recovered(), at(1), POLICY).effects == (Destroy(),)
    record = with_keys(replace(CREATED, tombstone_at_ns=5))
    recovered = step(record, Recovered(), at(1), POLICY)
    assert recovered.effects == (Destroy(),)
    gone = step(after(recovered), DestroyEnded(), at(2), POLICY)
    fault = told(gone)["op2"]
    assert fault is not None
    assert fault.reason is Reason.DELETED_MEANWHILE
    assert [outcome.fault for outcome in gone.outcomes] == [fault] * 2


def test_what_was_seen_before_says_nothing_now() -> None:
    record = after(step(replace(DIVERGED, unseen_since=at(0)), Recovered(), at(1), POLICY))
    assert (record.diverged, record.unseen_since) == (None, None)


def test_answers_are_believed_after_the_hosts_restart() -> None:
    """The last question was asked at an hour that the new clock reaches in days only."""
    asked = LastSeen(evidence="", cause="relist", at=at(10**6), asked_mono_s=at(10**6).mono_s)
    recovered = after(step(replace(RUNNING, last_seen=asked), Recovered(), at(0), POLICY))
    gone = replace(answer(recovered, Gone(why="no process")), asked_mono_s=at(0).mono_s)
    assert after(step(recovered, gone, at(1), POLICY)).state is State.EXITED


def test_stamps_from_before_the_hosts_restart_count_as_now() -> None:
    """CLOCK_MONOTONIC begins anew with the host: what lies in its future is no age at all."""
    dead = replace(EXITED, finished_mono_s=at(10**6).mono_s)
    recovered = after(step(dead, Recovered(), at(0), POLICY))
    assert recovered.finished_mono_s == at(0).mono_s
    assert step(recovered, Ticked(), at(POLICY.dead_ttl_s), POLICY).effects == (Destroy(),)
    record = pausing()
    assert record.open is not None
    future = replace(record, open=replace(record.open, started_at=at(10**6)))
    op = after(step(future, Recovered(), at(0), POLICY)).open
    assert op is not None
    assert op.started_at.mono_s == at(0).mono_s
    past = after(step(record, Recovered(), at(50), POLICY)).open
    assert past is not None
    assert past.started_at == record.open.started_at


OTHER_BOOT = Recovered(boot_id="boot2")
HOST = "gone: the host was restarted"


@pytest.mark.parametrize("boot_id", ["", "boot1"])
@pytest.mark.parametrize("noted", ["", "boot1"])
def test_only_another_boot_that_is_known_ends_what_lived(noted: str, boot_id: str) -> None:
    record = replace(RUNNING, boot_id=noted)
    assert step(record, Recovered(boot_id=boot_id), at(1), POLICY).effects == ASKS
    unknown = replace(RUNNING, boot_id="")
    assert step(unknown, OTHER_BOOT, at(1), POLICY).effects == ASKS


@pytest.mark.parametrize("record", [RUNNING, PAUSED, DIVERGED])
def test_a_restart_of_the_host_ends_what_lived_unasked(record: Record) -> None:
    decision = step(record, OTHER_BOOT, at(1), POLICY)
    ended = after(decision)
    assert (ended.state, ended.exit_code, ended.exit_reason) == (State.EXITED, None, HOST)
    assert (ended.boot_id, ended.finished_mono_s) == ("boot2", at(1).mono_s)
    assert decision.effects == (Destroy(),)
    (entry,) = decision.entries
    assert (entry.cause, entry.detail) == (Cause.RECOVERY, HOST)


@pytest.mark.parametrize(
    "record", [pausing(), resuming(Call.LOST), snapshotting(OpKind.COMMIT)], ids=["p", "r", "c"]
)
def test_an_operation_is_answered_as_cut_short_under_all_its_keys(record: Record) -> None:
    failure = record.open.failure if record.open else None
    decision = step(with_keys(record), OTHER_BOOT, at(1), POLICY)
    assert (after(decision).state, after(decision).open) == (State.EXITED, None)
    assert Destroy() in decision.effects
    assert [outcome.key.value for outcome in decision.outcomes] == ["k", "k2"]
    for outcome in decision.outcomes:
        assert outcome.fault is not None
        assert outcome.fault.retryable
        known = failure.message if failure else "the host was restarted during the"
        assert known in outcome.fault.message
        assert "it is EXITED" in outcome.fault.message


def test_an_answer_that_is_kept_already_is_not_kept_again() -> None:
    record = with_keys(pausing(Call.LOST, answered=True))
    assert record.open is not None
    noted = replace(record, open=replace(record.open, noted=True))
    assert step(noted, OTHER_BOOT, at(1), POLICY).outcomes == ()


def test_a_create_that_the_host_cut_short_is_undone_unasked() -> None:
    decision = step(with_keys(CREATED), OTHER_BOOT, at(1), POLICY)
    assert (after(decision).state, decision.effects) == (State.DELETED, (Destroy(),))
    gone = step(after(decision), DestroyEnded(), at(2), POLICY)
    faults = [outcome.fault for outcome in gone.outcomes]
    assert [fault.reason for fault in faults if fault] == [Reason.AGENT_RESTARTED] * 2


def test_what_the_host_left_is_removed_until_it_is_gone_and_the_record_stays() -> None:
    dead = after(step(RUNNING, OTHER_BOOT, at(1), POLICY))
    failed = step(dead, DestroyEnded(failure=FAILURE), at(2), POLICY)
    assert (failed.record, failed.persist) == (dead, False)
    assert step(dead, Ticked(), at(12), POLICY).effects == (Destroy(),)
    assert step(dead, OTHER_BOOT, at(13), POLICY).effects == (Destroy(),)
    swept = step(dead, DestroyEnded(), at(14), POLICY)
    kept = after(swept)
    assert (kept.state, kept.leftovers) == (State.EXITED, False)
    assert swept.entries[0].detail == "what it left on disk was removed"
    assert step(kept, Ticked(), at(24), POLICY).effects == ()
    assert step(kept, OTHER_BOOT, at(25), POLICY).effects == ()
    assert after(step(kept, Ticked(), at(1 + POLICY.dead_ttl_s), POLICY)).state is State.DELETED


def test_the_dead_of_an_earlier_boot_are_as_old_as_this_one() -> None:
    dead = replace(EXITED, finished_mono_s=990.0)
    kept = after(step(dead, OTHER_BOOT, at(0), POLICY))
    assert (kept.finished_mono_s, kept.state) == (0.0, State.EXITED)
    assert after(step(dead, Recovered(boot_id="boot1"), at(0), POLICY)).finished_mono_s == 990.0


def test_deletions_go_on_after_a_restart_of_the_host() -> None:
    assert step(DELETED, OTHER_BOOT, at(1), POLICY).effects == (Destroy(),)
