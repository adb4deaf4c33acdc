"""The language of crash points."""

from __future__ import annotations

import pytest

from tests.crash.grammar import Action, PointsError, Term, parse


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("a.b.c=off", (Term(Action.OFF),)),
        ("a.b.c=kill", (Term(Action.KILL),)),
        ("a.b.c=1*error", (Term(Action.ERROR, 1),)),
        ("a.b.c=ioerr", (Term(Action.IOERR),)),
        ("a.b.c=delay(50ms)", (Term(Action.DELAY, None, 0.05),)),
        ("a.b.c=2*delay(3s)", (Term(Action.DELAY, 2, 3.0),)),
        ("a.b.c=3*off->1*kill", (Term(Action.OFF, 3), Term(Action.KILL, 1))),
    ],
)
def test_terms(text: str, terms: tuple[Term, ...]) -> None:
    assert parse(text) == {"a.b.c": terms}


def test_several_points_and_none() -> None:
    assert parse("") == {}
    assert parse("a.b.c=kill;d_e.f.g=off;") == {
        "a.b.c": (Term(Action.KILL),),
        "d_e.f.g": (Term(Action.OFF),),
    }


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a.b=kill", "'a.b=kill' does not begin with room.thing.moment"),
        ("a.b.c", "'a.b.c' does not begin"),
        ("a.b.c=", "'' is none of"),
        ("a.b.c=die", "a.b.c: 'die' is none of off, error, ioerr, kill"),
        ("a.b.c=0*kill", "a count is from 1 to 1000000, not 0"),
        ("a.b.c=1000001*kill", "not 1000001"),
        ("a.b.c=delay(5)", "'delay(5)' is none of"),
        ("a.b.c=delay(61s)", "a delay is at most 60 s"),
        ("a.b.c=off->kill", "what follows a term without a count is never used"),
        ("a.b.c=off;a.b.c=kill", "a.b.c is there twice"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, what: str) -> None:
    with pytest.raises(PointsError, match=r".*") as caught:
        parse(text)
    assert what in str(caught.value)
