"""Every released format is read: forward, whole, and again after a death in the midst."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cubelet.core.bindings import Mode
from cubelet.core.faults import CubeletError
from cubelet.core.model import Call, OpKind, State
from cubelet.store import chain, journal, schema
from cubelet.store.sqlite import SqliteStore
from tests.contract.store.samples import change
from tests.unit.store.files import open_store

FIXTURES = {one.stem: one for one in (Path(__file__).parent / "formats").glob("*.sql")}


def test_each_format_has_its_file() -> None:
    assert sorted(FIXTURES) == [f"format-{number}" for number in range(1, schema.FORMAT + 1)]


def made(path: Path, name: str) -> None:
    with closing(sqlite3.connect(path)) as conn:
        conn.executescript(FIXTURES[name].read_text())
        conn.execute("PRAGMA journal_mode = WAL")


async def written(store: SqliteStore) -> list[tuple[chain.Line, str]]:
    def lines(conn: sqlite3.Connection) -> list[tuple[chain.Line, str]]:
        return [(row[:-1], row[-1]) for row in conn.execute("SELECT * FROM journal ORDER BY seq")]

    return await store.writer.read(lines)


@pytest.mark.parametrize("name", FIXTURES)
async def test_all_of_an_older_store_is_there(path: Path, name: str) -> None:
    made(path, name)
    store = await open_store(path)
    loaded = await store.load()
    box, other = loaded.records
    assert (box.id, box.revision, box.state) == ("box", 3, State.PAUSING)
    assert (other.id, other.revision) == ("other", 1)
    assert box.open is not None
    assert (box.open.kind, box.open.call) == (OpKind.PAUSE, Call.ABANDONED)
    assert box.spec.args[-1] == "'; DROP TABLE sandboxes; --\n\x7fé😀\u2028\""
    assert box.bindings.generation == 9
    assert [one.id for one in loaded.snapshots] == ["base", "snap"]
    assert loaded.snapshots[0].mode is Mode.INCREMENTAL
    assert (loaded.unreadable, loaded.unreadable_snapshots) == ({}, {})
    answer, late = await store.outcome("box", "key"), await store.outcome("gone", "late")
    assert answer is not None
    assert answer.record is not None
    assert answer.record.revision == 1
    assert late is not None
    assert late.fault is not None
    assert late.fault.message == box.spec.args[-1]
    lines = await store.journal("", limit=10)
    assert [(line.sandbox_id, line.revision) for line in lines] == [
        ("box", 1),
        ("box", 2),
        ("other", 1),
        ("gone", 9),
        ("box", 3),
    ]
    await store.close()


@pytest.mark.parametrize("name", FIXTURES)
async def test_an_older_store_is_written_to_as_a_new_one(path: Path, name: str) -> None:
    made(path, name)
    store = await open_store(path)
    linked = await written(store)
    await store.commit(change("new"))
    await store.close()
    store = await open_store(path)
    assert len((await store.load()).records) == 3
    lines = await written(store)
    assert lines[:-1] == linked
    assert list(chain.misfits(chain.START, lines)) == []
    assert len(lines) == 6
    await store.close()


async def test_a_long_journal_is_chained_slice_by_slice(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(path, "format-1")
    monkeypatch.setattr(journal, "SLICE_LINES", 2)
    store = await open_store(path)
    assert list(chain.misfits(chain.START, await written(store))) == []
    assert len(await store.journal("", limit=9)) == 5
    await store.close()


async def test_a_store_of_before_is_complete(path: Path) -> None:
    """It was never lost, so nobody is looked for."""
    made(path, "format-1")
    store = await open_store(path)
    assert (await store.load()).incomplete == ""
    await store.close()


async def test_a_chain_begins_where_older_agents_had_dropped_lines(path: Path) -> None:
    made(path, "format-1")
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("DELETE FROM journal WHERE seq <= 2")
        conn.commit()
    store = await open_store(path)
    assert [line.revision for line in await store.journal("", limit=9)] == [1, 9, 3]
    await store.close()


@pytest.mark.parametrize("point", ["column", "linked", "chain"])
async def test_a_migration_that_was_cut_short_is_done_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    made(path, "format-1")

    def reach(name: str) -> None:
        if name == f"store.migrate.{point}":
            raise OSError(5, "a test's wish")

    monkeypatch.setattr(schema, "reach", reach)
    with pytest.raises(CubeletError, match="a test's wish"):
        await open_store(path)
    monkeypatch.undo()
    store = await open_store(path)
    assert [one.id for one in (await store.load()).records] == ["box", "other"]
    assert list(chain.misfits(chain.START, await written(store))) == []
    await store.close()


def test_what_is_kept_of_an_old_format_is_what_it_wrote() -> None:
    """The files are not made anew by newer code: each body has its envelope of then."""
    versions = {
        name: set(re.findall(r'\'\{"v":(\d+)', one.read_text())) for name, one in FIXTURES.items()
    }
    assert versions == {"format-1": {"1"}, "format-2": {"2"}}
