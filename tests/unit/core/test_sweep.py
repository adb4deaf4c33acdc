"""The round as it comes to one sandbox: whom it asks, whom it leaves alone, whom it lets go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cubelet.core.effects import Destroy, Effect, Query
from cubelet.core.inputs import Cause, Ticked
from cubelet.core.machine import step
from cubelet.core.model import Call, OpKind, Record, State
from cubelet.core.policy import Policy
from tests.support.records import (
    CREATED,
    DELETED,
    DIVERGED,
    EXITED,
    PAUSED,
    RUNNING,
    after,
    at,
    pausing,
    resuming,
    snapshotting,
)

POLICY = Policy()
RELIST = (Query(cause=Cause.RELIST),)
SWEEP = (Query(cause=Cause.SWEEP),)
DEAD = replace(EXITED, finished_mono_s=at(0).mono_s)


def ticked(record: Record, seconds: float) -> tuple[Effect, ...]:
    """What the round does; a tick alone never changes what the sandbox is."""
    decision = step(record, Ticked(), at(seconds), POLICY)
    if record.state is not State.EXITED:
        assert (decision.record, decision.persist) == (record, False)
    return decision.effects


@pytest.mark.parametrize("record", [RUNNING, PAUSED, DIVERGED])
def test_all_that_live_are_asked_paused_ones_too(record: Record) -> None:
    assert ticked(record, 1) == ticked(record, 10_000) == RELIST


@pytest.mark.parametrize("record", [CREATED, pausing(), resuming(), snapshotting(OpKind.COMMIT)])
def test_a_call_in_flight_is_left_alone_for_as_long_as_it_is(record: Record) -> None:
    assert ticked(record, 1) == ticked(record, 10_000) == ()


@pytest.mark.parametrize("call", [Call.ABANDONED, Call.LOST, Call.ANSWERED])
@pytest.mark.parametrize("opened", [pausing, resuming])
def test_an_open_pause_or_resume_is_the_sweepers_from_60_s_on(
    opened: Callable[[Call], Record], call: Call
) -> None:
    record = opened(call)
    assert (ticked(record, 59), ticked(record, 59.99)) == ((), ())
    assert ticked(record, 60) == SWEEP


@pytest.mark.parametrize("kind", [OpKind.COMMIT, OpKind.ROLLBACK])
def test_a_snapshot_gets_twice_its_longer_limit(kind: OpKind) -> None:
    record = snapshotting(kind, Call.ABANDONED)
    assert (ticked(record, 119), ticked(record, 120)) == ((), SWEEP)


def test_a_removal_is_tried_again_but_not_while_the_create_is_in_flight() -> None:
    assert ticked(DELETED, 1) == (Destroy(),)
    assert ticked(replace(CREATED, tombstone_at_ns=5), 100) == ()
    over = replace(CREATED, tombstone_at_ns=5, open=pausing(Call.LOST).open)
    assert ticked(over, 1) == (Destroy(),)


def test_a_dead_record_goes_after_its_time_with_what_it_left() -> None:
    assert ticked(DEAD, POLICY.dead_ttl_s - 0.1) == ()
    decision = step(DEAD, Ticked(), at(POLICY.dead_ttl_s), POLICY)
    assert decision.effects == (Destroy(),)
    assert after(decision).state is State.DELETED
    assert after(decision).epoch == DEAD.epoch + 1
    assert decision.entries[0].cause is Cause.SWEEP
    assert step(DEAD, Ticked(), at(5), replace(POLICY, dead_ttl_s=5)).effects == (Destroy(),)
