"""An explanation says what is true, why, what comes next and what helps; a forecast, what would."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cubelet.core.conditions import ConditionKind
from cubelet.core.evidence import Alive, Contradicted, Evidence, Gone, NoAnswer, Status
from cubelet.core.explain import Explanation, Forecast, Step, explain, forecast
from cubelet.core.model import Call, Record, State
from cubelet.core.policy import Policy
from tests.support.records import (
    DELETED,
    DIVERGED,
    EXITED,
    PAUSED,
    RUNNING,
    at,
    diverging,
    pausing,
    resuming,
)

POLICY = Policy()


def explained(record: Record, seconds: float = 65) -> Explanation:
    return explain(
        record, now=at(seconds), policy=POLICY, journal=(), look_in_s=2.5, round_in_s=7.0
    )


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (RUNNING, "it was started, and was last seen running"),
        (PAUSED, "it was seen paused, and nothing has been seen to resume it"),
        (EXITED, "it has ended with exit code 0"),
        (
            replace(EXITED, exit_code=None, exit_reason="gone: no process"),
            "it has ended with an unknown code: gone: no process",
        ),
        (DELETED, "it was deleted, and what it left is being removed"),
        (pausing(), "a pause was asked for 65 s ago, and the runtime has not answered yet"),
        (
            pausing(Call.ABANDONED),
            (
                "a pause was asked for 65 s ago, and nobody waits for the runtime's answer any "
                "more, it may still come: runc said no"
            ),
        ),
        (
            resuming(Call.LOST),
            (
                "a resume was asked for 65 s ago, and the answer is lost, whether it happened is "
                "not known: runc said no"
            ),
        ),
        (
            pausing(Call.ANSWERED),
            "a pause was asked for 65 s ago, and the runtime answered with a failure: runc said no",
        ),
    ],
)
def test_the_reason_follows_from_the_facts(record: Record, why: str) -> None:
    assert explained(record).why == why


@pytest.mark.parametrize(
    ("record", "steps"),
    [
        (RUNNING, (Step(what="the shim is asked in the round over all", in_s=7.0),)),
        (
            pausing(Call.LOST),
            (
                Step(what="the shim is asked whether it happened", in_s=2.5),
                Step(what="the shim is asked in the round over all", in_s=7.0),
            ),
        ),
        (
            pausing(),
            (Step(what="the runtime answers, or its 30 s are over and it is asked"),),
        ),
        (EXITED, (Step(what="its record goes 3600 s after its end"),)),
        (DELETED, (Step(what="its removal is tried again", in_s=7.0),)),
    ],
)
def test_it_says_what_happens_next_and_when(record: Record, steps: tuple[Step, ...]) -> None:
    assert explained(record).next_steps == steps


@pytest.mark.parametrize(
    ("record", "ways"),
    [
        (RUNNING, ()),
        (DIVERGED, ("cubecli repair sb",)),
        (pausing(Call.LOST), ("cubecli reconcile sb", "cubecli rm sb")),
        (replace(RUNNING, unseen_since=at(1)), ("cubecli reconcile sb", "cubecli rm sb")),
    ],
)
def test_it_names_commands_that_help_where_something_is_wrong(
    record: Record, ways: tuple[str, ...]
) -> None:
    explanation = explained(record)
    assert explanation.ways_out == ways
    assert bool(explanation.conditions) == bool(ways)


def test_an_age_is_never_negative() -> None:
    assert "asked for 0 s ago" in explained(pausing(), seconds=-5).why


@pytest.mark.parametrize(
    ("record", "evidence", "state", "would"),
    [
        (RUNNING, Status.RUNNING, State.RUNNING, ()),
        (
            RUNNING,
            Status.PAUSED,
            State.PAUSED,
            ("write RUNNING -> PAUSED: not by us: shim says PAUSED (pid 2)",),
        ),
        (
            RUNNING,
            Gone(why="no process"),
            State.EXITED,
            ("write RUNNING -> EXITED: not by us: gone: no process",),
        ),
        (
            pausing(Call.LOST, answered=True),
            NoAnswer(why="silence"),
            State.PAUSING,
            ("ask the shim again in 0.25 s",),
        ),
        (
            diverging(pausing(Call.LOST, answered=True)),
            Contradicted(says=Status.RUNNING, frozen=True, pid=2),
            State.PAUSING,
            (
                (
                    "write PAUSING -> PAUSING: our own trace: shim says RUNNING, but it is frozen; "
                    "to be thawed past the shim"
                ),
                "thaw it past its shim",
            ),
        ),
        (
            diverging(resuming(Call.LOST, answered=True), says=Status.PAUSED),
            Contradicted(says=Status.PAUSED, frozen=False, pid=2),
            State.RESUMING,
            (
                (
                    "write RESUMING -> RESUMING: our own trace: shim says PAUSED, but it is not "
                    "frozen; to be frozen past the shim"
                ),
                "freeze it past its shim",
            ),
        ),
        (pausing(), Status.PAUSED, State.PAUSING, ()),
    ],
)
def test_a_forecast_says_what_would_be_written_and_done(
    record: Record, evidence: Evidence | Status, state: State, would: tuple[str, ...]
) -> None:
    seen = Alive(status=evidence, pid=2) if isinstance(evidence, Status) else evidence
    foretold = forecast(record, seen, at(20), POLICY)
    assert isinstance(foretold, Forecast)
    assert (foretold.before, foretold.after, foretold.would) == (record.state, state, would)


def test_a_forecast_leaves_out_what_only_answers_a_caller() -> None:
    record = pausing(Call.ANSWERED)
    foretold = forecast(record, Alive(status=Status.PAUSED, pid=2), at(1), POLICY)
    seen = "pause reached: shim says PAUSED (pid 2); its call had failed: runc said no"
    assert foretold.would == (f"write PAUSING -> PAUSED: {seen}",)
    assert ConditionKind.OVERDUE not in {one.kind for one in explained(record, 1).conditions}


def test_a_record_made_anew_says_so_and_why() -> None:
    remade = replace(RUNNING, remade_why="the file was damaged")
    told = explained(remade)
    assert told.why.endswith("made anew from what is on the host (the file was damaged)")
    invalid = explained(replace(remade, bindings=remade.bindings.invalidated(6)))
    (condition,) = invalid.conditions
    assert "its record was lost" in condition.evidence
    (usual,) = explained(replace(RUNNING, bindings=remade.bindings.invalidated(6))).conditions
    assert "restored from an image" in usual.evidence


def test_what_the_host_left_is_said_to_be_removed() -> None:
    first, second = explained(replace(EXITED, leftovers=True)).next_steps
    assert first == Step(what="what it left on disk is removed", in_s=7.0)
    assert second.what == "its record goes 3600 s after its end"
