"""The cause table: who may write which change of state, and what no background path can do."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from cubelet.core.edges import write
from cubelet.core.effects import Decision
from cubelet.core.evidence import Ended, Gone
from cubelet.core.inputs import Asked, Cause, DestroyEnded, Observed, Recovered
from cubelet.core.machine import step
from cubelet.core.model import OpKind, Record, State
from cubelet.core.policy import Policy
from cubelet.core.table import EDGES, REQUESTS, Join, Refuse, Start
from tests.support.records import (
    CREATED,
    DELETED,
    EXITED,
    PAUSED,
    RUNNING,
    at,
    in_every_state,
    pausing,
    resuming,
)
from tests.unit.core.test_walk import inputs_for

POLICY = Policy()
ONE_OF = {
    State.CREATED: CREATED,
    State.RUNNING: RUNNING,
    State.PAUSING: pausing(),
    State.PAUSED: PAUSED,
    State.RESUMING: resuming(),
    State.EXITED: EXITED,
    State.DELETED: DELETED,
}
BACKGROUND = set(Cause) - {Cause.RPC}


@pytest.mark.parametrize("cause", Cause)
def test_a_change_that_is_not_in_the_table_cannot_be_written(cause: Cause) -> None:
    for before, after in itertools.product([None, *State], State):
        changed = before is not after
        known = ONE_OF[before] if before else None
        allowed = not changed or cause in EDGES.get((before, after), ())
        try:
            write(known, ONE_OF[after], now=at(1), cause=cause, detail="a test")
        except AssertionError:
            assert not allowed, f"{before} -> {after} by {cause}"
        else:
            assert allowed, f"{before} -> {after} by {cause}"


def test_no_background_cause_begins_an_operation() -> None:
    begun = {(State.RUNNING, State.PAUSING), (State.PAUSED, State.RESUMING), (None, State.CREATED)}
    for edge in begun:
        assert EDGES[edge] == {Cause.RPC}


def test_no_background_cause_deletes_what_lives() -> None:
    """Only a create that came to nothing is undone; and a dead record goes in its time."""
    deleting = {
        before: causes & BACKGROUND
        for (before, after), causes in EDGES.items()
        if after is State.DELETED
    }
    assert {before: causes for before, causes in deleting.items() if causes} == {
        None: {Cause.RECOVERY},
        State.CREATED: {Cause.SETTLE, Cause.RECOVERY},
        State.EXITED: {Cause.SWEEP},
    }


def test_the_sweep_settles_what_is_open_and_follows_nothing_else() -> None:
    swept = {edge for edge, causes in EDGES.items() if Cause.SWEEP in causes}
    assert (State.RUNNING, State.PAUSED) not in swept
    assert (State.PAUSED, State.RUNNING) not in swept
    assert (State.PAUSED, State.EXITED) not in swept


def test_terminal_is_terminal() -> None:
    assert {after for before, after in EDGES if before is State.EXITED} == {State.DELETED}
    assert not [edge for edge in EDGES if edge[0] is State.DELETED]
    assert {before for before, after in EDGES if after is State.CREATED} == {None}


def decisions() -> list[tuple[Record, object, Decision]]:
    """What every input does to every record, each at its own time and past all patience."""
    return [
        (record, happened, step(record, happened, at(seconds), POLICY))
        for record in in_every_state().values()
        for happened in inputs_for(record)
        if not isinstance(happened, Asked)
        for seconds in (1.0, 4000.0)
    ]


def test_no_background_path_ends_touches_the_dead_or_begins() -> None:
    for before, happened, decision in decisions():
        after = decision.record
        if after is None:
            continue
        what = f"{before.state} x {happened}"
        if after.finished_at_ns and not before.finished_at_ns:
            rebooted = isinstance(happened, Recovered) and happened.boot_id == "boot2"
            if not rebooted:
                assert isinstance(happened, Observed), what
                assert isinstance(happened.evidence, Ended | Gone), what
        if before.state is State.EXITED and after.state is State.EXITED:
            ages = replace(after, finished_mono_s=before.finished_mono_s)
            if isinstance(happened, DestroyEnded) and before.leftovers:
                continue
            forgotten = replace(before, unseen_since=None, diverged=None)
            assert ages == (forgotten if isinstance(happened, Recovered) else before), what
        if after.open is not None:
            assert before.open is not None, what
            assert after.open.op_id == before.open.op_id, what


def test_every_edge_is_used() -> None:
    """A row that nothing needs would allow what nobody thought of."""
    used = {
        (entry.before, entry.after, entry.cause)
        for record in [None, *in_every_state().values()]
        for happened in inputs_for(record)
        for seconds in (1.0, 4000.0)
        for entry in step(record, happened, at(seconds), POLICY).entries
        if entry.before is not entry.after
    }
    listed = {(*edge, cause) for edge, causes in EDGES.items() for cause in causes}
    assert {row[:2] for row in used} == set(EDGES)
    assert used <= listed


def test_each_rule_refuses_with_words_or_begins_what_belongs_to_its_state() -> None:
    for (state, verb), rule in REQUESTS.items():
        if isinstance(rule, Start):
            assert (verb, rule.kind) in {
                ("pause", OpKind.PAUSE),
                ("resume", OpKind.RESUME),
                ("commit", OpKind.COMMIT),
                ("rollback", OpKind.ROLLBACK),
            }
            continue
        refusal = rule.otherwise if isinstance(rule, Join) else rule
        assert isinstance(refusal, Refuse)
        assert refusal.fault("sb").message.startswith("sandbox sb "), state
