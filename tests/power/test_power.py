"""A short run of scripts/crash --power, and proof that it would find what it looks for."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from cubelet.store import files
from cubelet.store.writer import Writer
from scripts.crashes import power
from scripts.crashes.shares import Share
from tests.power.disk import Cut

ALL = Share(0, 1)
#: They are long, and the machine may have other work.
pytestmark = pytest.mark.timeout(300)


def test_five_hundred_power_cuts_lose_nothing() -> None:
    totals = power.check(500, 1, ALL)
    assert totals.wrong == []
    assert totals.cuts.total() == 500
    assert all(totals.cuts[cut] > 20 for cut in Cut)


def never_syncs(self: Writer, conn: sqlite3.Connection, *, synced: bool) -> None:
    conn.execute("PRAGMA synchronous = NORMAL")


def trusts_the_system(self: Writer, conn: sqlite3.Connection, *, synced: bool) -> None:
    conn.execute("PRAGMA synchronous = OFF")


def leaves_it_to_the_system(path: Path) -> None:
    pass


BUGS: dict[str, tuple[object, str, Callable[..., None]]] = {
    "commits are not synced": (Writer, "_set_synced", never_syncs),
    "nothing is synced": (Writer, "_set_synced", trusts_the_system),
    "names are not synced": (files, "sync", leaves_it_to_the_system),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_found(monkeypatch: pytest.MonkeyPatch, bug: str) -> None:
    monkeypatch.setattr(*BUGS[bug])
    monkeypatch.setattr(power, "SHOWN_MAX", 0)  # Keeps no disks.
    monkeypatch.setattr(power, "ENOUGH", 1)
    assert power.check(500, 1, ALL).wrong
