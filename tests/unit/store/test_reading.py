"""What a reading costs the changes that come meanwhile."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from cubelet.store import journal, operations, sandboxes
from tests.contract.store.samples import change
from tests.unit.store.files import open_store


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SLICE_LINES", 7)


@pytest.mark.usefixtures("narrow")
async def test_the_journal_reads_on_over_the_edges_of_its_slices(path: Path) -> None:
    store = await open_store(path)
    names = ["box", "other", "other", "rare"]
    for number in range(1, 61):
        name = names[number % 3] if number != 25 else "rare"
        await store.commit(change(name, revision=number))
    everything = await store.journal("", limit=1000)
    assert [line.revision for line in everything] == list(range(1, 61))
    for name in {*names, "nobody"}:
        mine = tuple(line for line in everything if line.sandbox_id == name)
        for limit in (1, 2, 7, 14, 15, 1000):
            assert await store.journal(name, limit=limit) == mine[-limit:]
    for limit in (1, 7, 8, 59, 60, 61):
        assert await store.journal("", limit=limit) == everything[-limit:]
    await store.close()


@pytest.mark.usefixtures("narrow")
async def test_a_change_does_not_wait_for_the_whole_journal_to_be_read(path: Path) -> None:
    store = await open_store(path)
    for revision in range(1, 22):
        await store.commit(change(revision=revision))
    done: list[str] = []

    async def read() -> None:
        await store.journal("nobody", limit=1)
        done.append("read")

    async def write() -> None:
        await store.commit(change())
        done.append("written")

    await asyncio.gather(read(), write())
    assert done == ["written", "read"]
    await store.close()


async def test_no_statement_of_a_change_searches_through_a_table(path: Path) -> None:
    store = await open_store(path)

    def plans(conn: sqlite3.Connection) -> list[str]:
        statements = {
            journal._DROP: (1,),
            operations._DROP: (1,),
            operations._GET: ("box", "key"),
            sandboxes._REMOVE: ("box",),
        }
        explained = [
            conn.execute(f"EXPLAIN QUERY PLAN {statement}", values)
            for statement, values in statements.items()
        ]
        return [str(rows.fetchone()[3]) for rows in explained]

    assert [plan.split()[0] for plan in await store.writer.read(plans)] == ["SEARCH"] * 4
    await store.close()
