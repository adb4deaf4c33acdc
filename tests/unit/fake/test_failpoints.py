"""The failpoint grammar: what is printed parses back, and what is wrong is named with its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shimclient.fake.actions import (
    Action,
    Crash,
    Delay,
    Drop,
    Error,
    Hang,
    Late,
    Lie,
    Lost,
    Off,
    Reorder,
    Repeat,
    Term,
)
from shimclient.fake.failpoints import (
    EVENTS_POINT,
    FailpointError,
    format_failpoints,
    parse_duration_ms,
    parse_failpoints,
)
from shimclient.fake.points import LivePoints
from shimclient.task import Status

_durations = st.integers(0, 24 * 3_600_000)
_times = st.integers(1, 1_000_000)
_call_actions: st.SearchStrategy[Action] = st.one_of(
    st.sampled_from([Off(), Hang(), Lost(), Crash()]),
    st.builds(Delay, _durations),
    st.builds(Late, _durations),
    st.builds(Error, st.integers(1, 2**31 - 1), st.text(), st.booleans()),
)
_event_actions: st.SearchStrategy[Action] = st.one_of(
    st.sampled_from([Off(), Drop()]),
    st.builds(Delay, _durations),
    st.builds(Repeat, _times),
    st.builds(Reorder, _times),
)
_state_actions = st.one_of(_call_actions, st.builds(Lie, st.sampled_from(Status)))


def _terms(actions: st.SearchStrategy[Action]) -> st.SearchStrategy[tuple[Term, ...]]:
    counted = st.lists(st.builds(Term, actions, st.integers(1, 1_000_000)), max_size=4)
    last = st.builds(Term, actions, st.one_of(st.none(), st.integers(1, 1_000_000)))
    return st.builds(lambda first, end: (*first, end), counted, last)


def _actions_of(point: str) -> st.SearchStrategy[Action]:
    special = {EVENTS_POINT: _event_actions, "state": _state_actions}
    return special.get(point, _call_actions)


_points = st.fixed_dictionaries(
    {}, optional={point: _terms(_actions_of(point)) for point in ("pause", "state", EVENTS_POINT)}
)


@given(_points)
def test_what_is_printed_parses_back(points: dict[str, tuple[Term, ...]]) -> None:
    assert parse_failpoints(format_failpoints(points)) == points


@given(st.text(alphabet='pause=state;events->*()0123456789ms,"hang off lie', max_size=60))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        points = parse_failpoints(text)
    except FailpointError:
        return
    assert parse_failpoints(format_failpoints(points)) == points


def test_the_example_of_the_documentation() -> None:
    script = "pause=2*off->1*delay(500ms)->hang; events = 1*drop"
    assert parse_failpoints(script) == {
        "pause": (Term(Off(), 2), Term(Delay(500), 1), Term(Hang())),
        "events": (Term(Drop(), 1),),
    }


@pytest.mark.parametrize(
    ("script", "position", "expected"),
    [
        ("paws=hang", 1, "a point"),
        ("pause", 6, "'='"),
        ("pause=", 7, "an action of pause"),
        ("pause=hang->off", 13, "the term before has no count"),
        ("pause=3*", 9, "an action of pause"),
        ("pause=0*off", 7, "a count (1 to 1000000)"),
        ("pause=3off", 8, "'*'"),
        ("pause=delay", 12, "'('"),
        ("pause=delay(5)", 14, "a unit"),
        ("pause=delay(25h)", 15, "a unit"),
        ("pause=delay(1441m)", 18, "at most 1440m"),
        ("pause=error(2,text)", 15, "double quotes"),
        ("pause=error(0)", 13, "a status code"),
        ("pause=lie(PAUSED)", 7, "an action of pause"),
        ("pause=drop", 7, "an action of pause"),
        ("events=hang", 8, "an action of events"),
        ("state=lie(SLEEPING)", 11, "a status"),
        ("pause=off;pause=hang", 11, "each point once"),
        ("pause=off hang", 11, "the end"),
        ("pause=off;", 11, "a point"),
    ],
)
def test_errors_name_the_place_and_what_is_expected(
    script: str, position: int, expected: str
) -> None:
    with pytest.raises(FailpointError) as caught:
        parse_failpoints(script)
    assert f"position {position}: " in str(caught.value)
    assert expected in str(caught.value)


def test_durations_are_exact() -> None:
    assert [parse_duration_ms(text) for text in ("0ms", "1500ms", "2s", "3m")] == [
        0,
        1500,
        2000,
        180_000,
    ]
    with pytest.raises(FailpointError, match="the end"):
        parse_duration_ms("5s6")


def test_terms_are_used_up_in_turn() -> None:
    live = LivePoints(parse_failpoints("pause=2*off->1*lost->hang"))
    assert [live.next("pause") for _ in range(5)] == [Off(), Off(), Lost(), Hang(), Hang()]
    assert live.fired == {"pause": 3}
    assert live.text() == "pause=hang"
    assert live.next("resume") == Off()


def test_a_point_that_is_used_up_is_off_until_it_is_set_again() -> None:
    live = LivePoints(parse_failpoints("kill=1*lost;start=hang"))
    assert [live.next("kill"), live.next("kill")] == [Lost(), Off()]
    assert live.text() == "start=hang"
    live.update(parse_failpoints("kill=crash"))
    assert (live.next("kill"), live.next("start")) == (Crash(), Hang())
