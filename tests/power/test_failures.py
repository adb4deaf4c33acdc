"""A part of scripts/crash --failures, and proof that it would find what it looks for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from weakref import WeakKeyDictionary

import pytest

from cubelet.core.faults import CubeletError
from cubelet.engine.ports import Change, StoreFailed
from cubelet.store import sqlite
from cubelet.store.sqlite import SqliteStore
from scripts.crashes import failures
from scripts.crashes.shares import Share
from tests.power.watch import Trouble

#: They are long, and the machine may have other work.
pytestmark = pytest.mark.timeout(300)
#: Of so many calls one fails.
EVERY = 13


def test_no_failing_call_breaks_a_promise() -> None:
    totals = failures.check(EVERY, 0, Share(0, 1))
    assert totals.wrong == []
    assert all(totals.rounds[trouble] > 3 for trouble in Trouble)


async def answers_whatever_happens(self: SqliteStore, change: Change) -> None:
    with contextlib.suppress(CubeletError):
        await COMMIT(self, change)


async def is_ill_for_ever(self: SqliteStore, change: Change) -> None:
    try:
        await COMMIT(self, change)
    except CubeletError as problem:
        ILL[self] = problem
    if self in ILL:
        raise ILL[self]


def does_not_say_why(problem: Exception, path: Path, *, doing: str) -> StoreFailed:
    return StoreFailed(f"cannot {doing} {path}: something went wrong", cause="OTHER")


def raises_what_comes(problem: Exception, path: Path, *, doing: str) -> Exception:
    return problem


COMMIT = SqliteStore.commit
ILL: WeakKeyDictionary[SqliteStore, CubeletError] = WeakKeyDictionary()
BUGS: dict[str, tuple[object, str, Callable[..., object]]] = {
    "refusals are taken for answers": (SqliteStore, "commit", answers_whatever_happens),
    "needs a restart": (SqliteStore, "commit", is_ill_for_ever),
    "reasons are not told": (sqlite, "fault_of", does_not_say_why),
    "errors come as they are": (sqlite, "fault_of", raises_what_comes),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_found(monkeypatch: pytest.MonkeyPatch, bug: str) -> None:
    monkeypatch.setattr(*BUGS[bug])
    assert failures.check(40, 0, Share(0, 1)).wrong
