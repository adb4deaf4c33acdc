"""Conditions: each holds exactly where its fact does, with since when and on what evidence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cubelet.core.bindings import bound_to
from cubelet.core.conditions import Condition, ConditionKind, conditions
from cubelet.core.model import Call, LastSeen, OpKind, Record
from cubelet.core.policy import Policy
from tests.support.records import (
    DELETED,
    DIVERGED,
    FAILURE,
    RUNNING,
    at,
    diverging,
    in_every_state,
    pausing,
    restarted,
    resuming,
    snapshotting,
)

POLICY = Policy()
INVALID = bound_to("snap", at_ns=1, generation=3).invalidated(77)
SEEN = LastSeen(evidence="no answer: silence", cause="relist", at=at(3))

#: The others are of the node as a whole, which no record tells of.
OF_SANDBOXES = [
    kind
    for kind in ConditionKind
    if kind not in {ConditionKind.DEGRADED_STORE, ConditionKind.ORPHANS, ConditionKind.REBUILDING}
]


def found(record: Record, seconds: float = 1) -> tuple[Condition, ...]:
    return conditions(record, at(seconds), POLICY)


@pytest.mark.parametrize(
    ("record", "seconds", "kind", "since_ns", "evidence"),
    [
        (
            pausing(Call.LOST),
            61,
            ConditionKind.OVERDUE,
            at(60).wall_ns,
            "the pause of operation op2 is not settled: runc said no",
        ),
        (
            restarted(resuming()),
            61,
            ConditionKind.OVERDUE,
            at(60).wall_ns,
            "the resume of operation op2 is not settled: no failure is known",
        ),
        (
            replace(RUNNING, unseen_since=at(2), last_seen=SEEN),
            3,
            ConditionKind.UNSEEN,
            at(2).wall_ns,
            "no answer: silence",
        ),
        (
            replace(RUNNING, unseen_since=at(2)),
            3,
            ConditionKind.UNSEEN,
            at(2).wall_ns,
            "no answer",
        ),
        (
            DIVERGED,
            1,
            ConditionKind.DIVERGED,
            at(0).wall_ns,
            "the shim says RUNNING, the second witness says frozen",
        ),
        (
            replace(RUNNING, bindings=INVALID),
            1,
            ConditionKind.BINDINGS_INVALID,
            77,
            "it was restored from an image that no catalog has; the next commit is a full one",
        ),
        (
            replace(DELETED, delete_failure=FAILURE),
            1,
            ConditionKind.DELETE_FAILED,
            5,
            "runc said no",
        ),
    ],
)
def test_each_says_since_when_and_why(
    record: Record, seconds: float, kind: ConditionKind, since_ns: int, evidence: str
) -> None:
    assert found(record, seconds) == (Condition(kind=kind, since_ns=since_ns, evidence=evidence),)


def test_a_thaw_behind_the_shims_back_reads_the_other_way() -> None:
    record = diverging(RUNNING)
    assert record.diverged is not None
    shown = replace(record, diverged=replace(record.diverged, frozen=False, shown=True))
    assert found(shown)[0].evidence.endswith("the second witness says not frozen")


def test_an_honest_sandbox_has_none() -> None:
    for record in (
        RUNNING,
        diverging(RUNNING),
        pausing(Call.LOST),
        replace(
            RUNNING, bindings=replace(INVALID, restore=bound_to("a", at_ns=1, generation=1).restore)
        ),
    ):
        assert found(record, 59.9) == ()


def test_a_call_in_flight_is_never_overdue() -> None:
    for record in (pausing(), resuming(), snapshotting(OpKind.COMMIT)):
        assert found(record, 10_000) == ()
    assert found(snapshotting(OpKind.COMMIT, Call.ABANDONED), 119) == ()
    assert found(snapshotting(OpKind.COMMIT, Call.ABANDONED), 120)[0].kind is ConditionKind.OVERDUE


def test_all_that_hold_are_told_in_one_order() -> None:
    everything = replace(
        pausing(Call.LOST),
        unseen_since=at(1),
        diverged=DIVERGED.diverged,
        bindings=INVALID,
        delete_failure=FAILURE,
    )
    assert [one.kind for one in found(everything, 60)] == OF_SANDBOXES


def test_they_are_read_off_every_record() -> None:
    kinds = {one.kind for record in in_every_state().values() for one in found(record, 60)}
    assert kinds == set(OF_SANDBOXES) - {ConditionKind.UNSEEN}
