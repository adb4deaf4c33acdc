"""The chain stays whole whatever happens to the transactions that write it."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from cubelet.core.faults import CubeletError
from cubelet.engine.ports import Change
from cubelet.store import chain, journal
from cubelet.store.limits import Keep, Limits
from cubelet.store.sqlite import SqliteStore
from tests.contract.store.samples import change, entry, snapshot
from tests.unit.store.files import open_store, spoil

FEW = Limits(journal=Keep(newest=1, age_s=0, most=5))


async def misfits(store: SqliteStore) -> tuple[list[int], int]:
    """Lines that do not fit, and the number of the last."""

    def look(conn: sqlite3.Connection) -> tuple[list[int], int]:
        number, before = journal.anchor(conn)
        lines = [(row[:-1], row[-1]) for row in conn.execute("SELECT * FROM journal ORDER BY seq")]
        assert [line[0] for line, _ in lines] == list(range(number + 1, number + 1 + len(lines)))
        wrong = [int(line[0] or 0) for line in chain.misfits(before, lines)]
        return wrong, number + len(lines)

    return await store.writer.read(look)


async def test_each_line_follows_the_one_before_over_restarts(path: Path) -> None:
    for start in (1, 11):
        store = await open_store(path)
        for revision in range(start, start + 10):
            await store.commit(change(revision=revision))
        assert await misfits(store) == ([], start + 9)
        await store.close()


async def test_a_group_in_which_one_fails_leaves_no_gap(path: Path) -> None:
    """Its transaction is rolled back, and each of the others written once more, alone."""
    store = await open_store(path)
    await store.commit(replace(change("first"), snapshots=(snapshot("taken"),)))
    twice = replace(change("bad"), snapshots=(snapshot("taken"),))
    changes = [change("a"), change("b"), twice, change("c"), change("d")]
    answers = await asyncio.gather(*map(store.commit, changes), return_exceptions=True)
    assert [isinstance(one, CubeletError) for one in answers] == [False, False, True, False, False]
    assert await misfits(store) == ([], 5)
    await store.commit(change("e"))
    assert await misfits(store) == ([], 6)
    await store.close()


async def test_a_full_disk_leaves_no_gap(path: Path) -> None:
    store = await open_store(path)
    await store.commit(change("kept"))

    async def limit(pages: int) -> None:
        await store.writer.read(lambda conn: conn.execute(f"PRAGMA max_page_count = {pages}"))

    await limit(1)
    outcomes = await asyncio.gather(
        *(store.commit(change(f"box-{number}")) for number in range(50)), return_exceptions=True
    )
    written = 1 + outcomes.count(None)
    assert written < 51
    await limit(1 << 20)
    await store.commit(change("after"))
    assert await misfits(store) == ([], written + 1)
    await store.close()


async def test_the_chain_hangs_on_what_was_dropped(path: Path) -> None:
    store = await open_store(path, limits=FEW)
    entries = [entry(revision=revision) for revision in range(1, 12)]
    await store.commit(Change(id="box", record=None, entries=entries))
    assert await store.retain(0) == 6
    assert await misfits(store) == ([], 11)
    assert await store.retain(10**19) == 4
    assert await misfits(store) == ([], 11)
    assert await store.journal("box", limit=9) == (entries[-1],)
    await store.close()
    store = await open_store(path, limits=FEW)
    await store.commit(change("next"))
    assert await misfits(store) == ([], 12)
    await store.close()


async def test_an_anchor_that_is_none_is_told_by_the_first_line(path: Path) -> None:
    store = await open_store(path, limits=FEW)
    entries = [entry(revision=revision) for revision in range(1, 12)]
    await store.commit(Change(id="box", record=None, entries=entries))
    await store.retain(10**19)
    await store.close()
    spoil(path, "UPDATE meta SET value = 'nonsense' WHERE key = 'anchor'")
    store = await open_store(path, limits=FEW)
    with pytest.raises(CubeletError, match="'nonsense' is no anchor"):
        await store.journal("box", limit=9)
    await store.commit(change("next"))
    assert len(await store.journal("next", limit=1)) == 1
    await store.close()
