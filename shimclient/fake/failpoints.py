"""The language in which a fake shim is told to misbehave: its parser and its printer. Pure.

::

    script := [ point { ";" point } ]
    point  := NAME "=" term { "->" term }
    term   := [ COUNT "*" ] action

A term is used COUNT times, then the next one is; a term without a count is used for ever, so
nothing can follow it. After the last term the point is off. Points are the Task methods in lower
case, and `events`. (The form is that of containerd's failpoints; the actions are ours.)

====================  ===========================================================================
``off``               nothing special
``delay(DUR)``        the call waits before it is looked at, not holding the VM: State still answers
``late(DUR)``         the operation takes DUR longer, holding the VM: State waits
``hang``              the operation holds the VM for ever and has no effect
``error(CODE, "T")``  an error answer without the effect; code 2 and a text where they are left out
``error_after(...)``  the effect, and then an error answer all the same
``lost``              the effect, and no answer ever
``crash``             the shim process ends at once, without the effect
``lie(STATUS)``       State answers this status
``drop``              (events) the event is not sent
``repeat(N)``         (events) the event is sent N times more
``delay(DUR)``        (events) the event is sent later
``reorder(N)``        (events) the event is sent after the N events that follow it
====================  ===========================================================================

DUR is an integer with ms, s or m; T is a JSON string; STATUS a name such as PAUSED.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Final

from shimclient.errors import Code
from shimclient.fake.actions import (
    DEFAULT_TEXT,
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
    Points,
    Reorder,
    Repeat,
    Term,
)
from shimclient.task import Status

COUNT_MAX: Final = 1_000_000
DURATION_MS_MAX: Final = 24 * 3_600_000
EVENTS_POINT: Final = "events"
#: Where a failpoint may stand: the Task methods, and what is sent to the events' sink.
POINTS: Final = (
    *("create", "start", "state", "pause", "resume", "kill", "delete", "wait", "pids", "stats"),
    *("connect", "checkpoint", "update", "shutdown", EVENTS_POINT),
)


class FailpointError(ValueError):
    """A script that cannot be read; the text says where, what was expected and what was found."""


def parse_failpoints(text: str) -> dict[str, tuple[Term, ...]]:
    """The terms of each point; raises FailpointError."""
    return _Parser(text).script()


def format_failpoints(points: Points) -> str:
    """The script that parses to these points."""
    return ";".join(
        f"{name}={'->'.join(format_term(term) for term in terms)}"
        for name, terms in points.items()
        if terms
    )


def parse_duration_ms(text: str) -> int:
    """``500ms``, ``2s`` or ``1m`` in milliseconds; raises FailpointError."""
    parser = _Parser(text)
    duration_ms = parser.duration()
    parser.end()
    return duration_ms


def format_duration(ms: int) -> str:
    """The shortest exact way to write it."""
    for unit, size in (("m", 60_000), ("s", 1000)):
        if ms and ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms}ms"


def format_term(term: Term) -> str:
    """One term as the parser reads it."""
    count = "" if term.count is None else f"{term.count}*"
    match term.action:
        case Delay(ms) | Late(ms):
            argument = format_duration(ms)
        case Error(code, text):
            argument = f"{code:d}, {json.dumps(text)}"
        case Lie(status):
            argument = status.name
        case Repeat(times) | Reorder(times):
            argument = str(times)
        case _:
            argument = ""
    return f"{count}{_name_of(term.action)}{f'({argument})' if argument else ''}"


def _name_of(action: Action) -> str:
    if isinstance(action, Error) and action.after:
        return "error_after"
    return type(action).__name__.lower()


class _Parser:
    """Reads one script from left to right; every error names the position, counted from 1."""

    _EVENT_ACTIONS: Final = ("off", "delay", "drop", "repeat", "reorder")
    _CALL_ACTIONS: Final = (
        *("off", "delay", "late", "hang", "error", "error_after", "lost", "crash"),
    )

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def script(self) -> dict[str, tuple[Term, ...]]:
        points: dict[str, tuple[Term, ...]] = {}
        if not self._text.strip():
            return points
        while True:
            at = self._at
            name = self._word(POINTS, "a point")
            if name in points:
                self._at = at
                raise self._error(f"each point once; {name} stands here again")
            self._expect("=")
            points[name] = self._terms(name)
            if not self._take(";"):
                self.end()
                return points

    def _terms(self, point: str) -> tuple[Term, ...]:
        terms = [self._term(point)]
        while self._take("->"):
            if terms[-1].count is None:
                raise self._error(
                    "the end of the point: the term before has no count, so it lasts for ever"
                )
            terms.append(self._term(point))
        return tuple(terms)

    def _term(self, point: str) -> Term:
        count = None
        if self._peek_digit():
            count = self._number(1, COUNT_MAX, "a count")
            self._expect("*")
        return Term(self._action(point), count)

    def _action(self, point: str) -> Action:
        names = self._EVENT_ACTIONS if point == EVENTS_POINT else self._CALL_ACTIONS
        if point == "state":
            names = (*names, "lie")
        name = self._word(names, f"an action of {point}")
        return _ACTIONS[name](self)

    def duration(self) -> int:
        number = self._number(0, DURATION_MS_MAX, "a duration like 500ms, 2s or 1m")
        unit = self._word(("ms", "s", "m"), "a unit", spaces=False)
        duration_ms = number * {"ms": 1, "s": 1000, "m": 60_000}[unit]
        if duration_ms > DURATION_MS_MAX:
            raise self._error(f"a duration of at most {format_duration(DURATION_MS_MAX)}")
        return duration_ms

    def in_brackets(self, read: Callable[[], int]) -> int:
        self._expect("(")
        value = read()
        self._expect(")")
        return value

    def status(self) -> int:
        return Status[self._word(tuple(Status.__members__), "a status")]

    def times(self) -> int:
        return self._number(1, COUNT_MAX, "a number of times")

    def error(self, *, after: bool) -> Error:
        """What stands behind `error`: nothing, a code, or a code and a text."""
        code, text = int(Code.UNKNOWN), DEFAULT_TEXT
        if self._take("("):
            code = self._number(1, 2**31 - 1, "a status code")
            if self._take(","):
                text = self._string()
            self._expect(")")
        return Error(code, text, after)

    def end(self) -> None:
        self._skip_spaces()
        if self._at < len(self._text):
            raise self._error("the end")

    def _string(self) -> str:
        self._skip_spaces()
        if not self._text.startswith('"', self._at):
            raise self._error('a text in "double quotes"')
        try:
            text, self._at = json.JSONDecoder().raw_decode(self._text, self._at)
        except ValueError as error:
            raise self._error('a text in "double quotes", escaped as in JSON') from error
        return str(text)

    def _number(self, least: int, most: int, what: str) -> int:
        self._skip_spaces()
        match = re.compile(r"[0-9]{1,12}").match(self._text, self._at)
        if match is None or not least <= int(match.group()) <= most:
            raise self._error(f"{what} ({least} to {most})")
        self._at = match.end()
        return int(match.group())

    def _word(self, words: tuple[str, ...], what: str, *, spaces: bool = True) -> str:
        if spaces:
            self._skip_spaces()
        match = re.compile(r"[A-Za-z_]+").match(self._text, self._at)
        if match is None or match.group() not in words:
            raise self._error(f"{what} ({', '.join(words)})")
        self._at = match.end()
        return match.group()

    def _peek_digit(self) -> bool:
        self._skip_spaces()
        return self._text[self._at : self._at + 1].isdecimal()

    def _take(self, token: str) -> bool:
        self._skip_spaces()
        found = self._text.startswith(token, self._at)
        self._at += len(token) if found else 0
        return found

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise self._error(repr(token))

    def _skip_spaces(self) -> None:
        while self._text[self._at : self._at + 1].isspace():
            self._at += 1

    def _error(self, expected: str) -> FailpointError:
        found = (
            repr(self._text[self._at : self._at + 20]) if self._at < len(self._text) else "the end"
        )
        return FailpointError(
            f"failpoints, position {self._at + 1}: expected {expected}, found {found}"
        )


_ACTIONS: Final[Mapping[str, Callable[[_Parser], Action]]] = {
    "off": lambda _: Off(),
    "delay": lambda parser: Delay(parser.in_brackets(parser.duration)),
    "late": lambda parser: Late(parser.in_brackets(parser.duration)),
    "hang": lambda _: Hang(),
    "error": lambda parser: parser.error(after=False),
    "error_after": lambda parser: parser.error(after=True),
    "lost": lambda _: Lost(),
    "crash": lambda _: Crash(),
    "lie": lambda parser: Lie(Status(parser.in_brackets(parser.status))),
    "drop": lambda _: Drop(),
    "repeat": lambda parser: Repeat(parser.in_brackets(parser.times)),
    "reorder": lambda parser: Reorder(parser.in_brackets(parser.times)),
}
