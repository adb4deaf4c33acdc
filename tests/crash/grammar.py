"""What a test build does at its crash points: a small language, after that of the fake shim.

::

    text  := [ point { ";" point } ]
    point := NAME "=" term { "->" term }
    term  := [ COUNT "*" ] action

A term is used COUNT times, then the next one is; the last one may go without a count and is used
for ever. After the last term the point is off.

============== ==============================================================
``off``        nothing
``delay(DUR)`` the thread that reached it waits; DUR is an integer with ms or s
``error``      OSError (EIO) is raised there
``ioerr``      the error is raised by which SQLite tells of a failing disk
``kill``       the process kills itself with SIGKILL
============== ==============================================================
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final

COUNT_MAX: Final = 1_000_000
DELAY_S_MAX: Final = 60.0
_NAME: Final = re.compile(r"[a-z_]+(?:\.[a-z_]+){2}")
_TERM: Final = re.compile(
    r"(?:(?P<count>[0-9]{1,9})\*)?"
    r"(?:(?P<action>off|error|ioerr|kill)|delay\((?P<length>[0-9]{1,9})(?P<unit>ms|s)\))"
)
_SECONDS: Final = {"ms": 0.001, "s": 1.0}


class PointsError(ValueError):
    """A text that cannot be read; it says which part."""


class Action(enum.Enum):
    """What happens at a point."""

    OFF = "off"
    DELAY = "delay"
    ERROR = "error"
    IOERR = "ioerr"
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Term:
    """An action, how often it is used (None: for ever), and for a delay, how long it is."""

    action: Action
    count: int | None = None
    delay_s: float = 0.0


def parse(text: str) -> dict[str, tuple[Term, ...]]:
    """The terms of each point. Raises PointsError."""
    points: dict[str, tuple[Term, ...]] = {}
    for part in filter(None, text.split(";")):
        name, equals, terms = part.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise PointsError(f"{part!r} does not begin with room.thing.moment and =")
        if name in points:
            raise PointsError(f"{name} is there twice")
        points[name] = _terms(name, terms)
    return points


def _terms(name: str, text: str) -> tuple[Term, ...]:
    terms = tuple(_term(name, word) for word in text.split("->"))
    if any(term.count is None for term in terms[:-1]):
        raise PointsError(f"{name}: what follows a term without a count is never used")
    return terms


def _term(name: str, text: str) -> Term:
    found = _TERM.fullmatch(text)
    if found is None:
        raise PointsError(
            f"{name}: {text!r} is none of off, error, ioerr, kill, delay(50ms), 3*kill"
        )
    count = None if found["count"] is None else int(found["count"])
    if count is not None and not 0 < count <= COUNT_MAX:
        raise PointsError(f"{name}: a count is from 1 to {COUNT_MAX}, not {count}")
    if found["action"]:
        return Term(Action(found["action"]), count)
    delay_s = int(found["length"]) * _SECONDS[found["unit"]]
    if delay_s > DELAY_S_MAX:
        raise PointsError(f"{name}: a delay is at most {DELAY_S_MAX:g} s")
    return Term(Action.DELAY, count, delay_s)
