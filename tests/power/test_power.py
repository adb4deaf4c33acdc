"""A short run of scripts/crash --power, and proof that it would find what it looks for."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from cubelet.store import files
from cubelet.store.writer import Writer
from scripts.crashes import power
from scripts.crashes.shares import Share
from tests.contract.store.samples import change
from tests.power.disk import Cut, Disk
from tests.power.images import record
from tests.power.judge import write_out
from tests.power.recorder import Write
from tests.power.workload import open_store
from tests.sim.dice import dice_of

ALL = Share(0, 1)
#: Nothing else that is written is as short.
LOG_HEADER_BYTES = 32
#: They are long, and the machine may have other work.
pytestmark = pytest.mark.timeout(300)


def test_five_hundred_power_cuts_lose_nothing() -> None:
    totals = power.check(500, 1, ALL)
    assert totals.wrong == []
    assert totals.cuts.total() == 500
    assert all(totals.cuts[cut] > 20 for cut in Cut)


async def test_a_store_opens_after_a_power_cut_as_it_got_its_log(tmp_path: Path) -> None:
    life = await asyncio.to_thread(record, 3, tmp_path / "life", batches=3)
    disk = Disk()
    for op in life.ops:
        disk.apply(op)
        if isinstance(op, Write) and len(op.data) == LOG_HEADER_BYTES:
            break
    images = (disk.image(Cut.TORN, dice_of(seed)) for seed in itertools.count())
    write_out(
        next(one for one in images if one.get("store.db-wal") and one.get("store.db-journal")),
        tmp_path / "image",
    )
    store = await open_store(tmp_path / "image" / "store.db", boot=2)
    await store.commit(change())
    assert (await store.load()).incomplete == "there was no file"
    await store.close()


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
