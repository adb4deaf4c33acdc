"""A row that cannot be read is never taken for one that is not there."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from cubelet.core.faults import CubeletError, Reason
from cubelet.engine.ports import Loaded
from cubelet.store.memory import MemoryStore
from tests.contract.store.samples import change, outcome, record, snapshot
from tests.unit.store.files import open_store, spoil, stored


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE sandboxes SET body = 'rubbish' WHERE id = 'bad'", "malformed"),
        ("UPDATE sandboxes SET body = CAST(x'ff' AS TEXT) WHERE id = 'bad'", "malformed"),
        ("""UPDATE sandboxes SET body = '{"v":9,"value":{}}' WHERE id = 'bad'""", "version 9"),
        (
            """UPDATE sandboxes SET body = (SELECT body FROM sandboxes WHERE id = 'good')
            WHERE id = 'bad'""",
            "that of 'good'",
        ),
    ],
)
async def test_an_unreadable_row_is_named_and_kept(path: Path, statement: str, why: str) -> None:
    await stored(path, "bad", "good")
    spoil(path, statement)
    store = await open_store(path)
    loaded = await store.load()
    await store.commit(change("new"))
    await store.close()
    assert loaded.records == (record("good"),)
    assert list(loaded.unreadable) == ["bad"]
    assert why in loaded.unreadable["bad"]
    conn = sqlite3.connect(path)
    assert conn.execute("SELECT count(*) FROM sandboxes").fetchone() == (3,)
    conn.close()


async def test_an_id_that_is_not_unicode_spoils_its_own_row_only(path: Path) -> None:
    await stored(path, "bad", "good")
    spoil(path, "UPDATE sandboxes SET id = CAST(x'62ff' AS TEXT) WHERE id = 'bad'")
    store = await open_store(path)
    loaded = await store.load()
    await store.close()
    assert loaded.records == (record("good"),)
    assert loaded.unreadable == {
        "b\\xff": "what is inside is that of 'bad'",
        "bad": "it is in the row of 'b\\\\xff'",
    }


@pytest.mark.parametrize(
    ("column", "value"), [("detail", "nothing happened"), ("revision", 7), ("hash", "0" * 64)]
)
async def test_a_journal_line_that_was_changed_is_named(
    path: Path, column: str, value: object
) -> None:
    await stored(path, "box", "other", "third")
    spoil(path, f"UPDATE journal SET {column} = ? WHERE seq = 2", value)  # noqa: S608
    store = await open_store(path)
    with pytest.raises(CubeletError, match="journal line 2: its hash does not fit"):
        await store.journal("other", limit=1)
    assert await store.journal("box", limit=1) == (change("box").entries[0],)
    await store.close()


async def test_a_journal_line_of_a_newer_agent_is_named(path: Path) -> None:
    await stored(path, "box")
    spoil(path, "UPDATE journal SET cause = 'moon' WHERE seq = 1")
    store = await open_store(path)
    with pytest.raises(CubeletError, match="journal line 1: 'moon'"):
        await store.journal("box", limit=1)
    await store.close()


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE operations SET body = 'rubbish'", "malformed"),
        ("""UPDATE operations SET body = '{"v":9,"value":{}}'""", "version 9"),
        ("UPDATE operations SET body = (SELECT body FROM sandboxes)", "missing"),
        ("UPDATE operations SET sandbox_id = 'box', key = 'other'", "another one's"),
    ],
)
async def test_an_outcome_that_cannot_be_read_is_an_error(
    path: Path, statement: str, why: str
) -> None:
    store = await open_store(path)
    await store.commit(replace(change(), outcomes=(outcome("other", "cat"),)))
    await store.commit(replace(change(revision=2), outcomes=(outcome("key"),)))
    await store.close()
    spoil(path, f"{statement} WHERE key = 'key'")
    store = await open_store(path)
    key = "other" if "another" in why else "key"
    with pytest.raises(CubeletError, match=f"key '{key}' of sandbox box: .*{why}") as caught:
        await store.outcome("box", key)
    assert caught.value.fault.reason is Reason.STORE_FAILED
    assert not caught.value.fault.retryable
    assert await store.outcome("cat", "other") == outcome("other", "cat")
    await store.close()


async def test_a_snapshot_that_cannot_be_read_is_no_base_and_keeps_its_name(path: Path) -> None:
    store = await open_store(path)
    await store.commit(replace(change(), snapshots=(snapshot("bad"), snapshot("good"))))
    await store.close()
    spoil(path, "UPDATE snapshots SET body = 'rubbish' WHERE id = 'bad'")
    store = await open_store(path)
    loaded = await store.load()
    with pytest.raises(CubeletError) as caught:
        await store.commit(replace(change(revision=2), snapshots=(snapshot("bad"),)))
    assert loaded.snapshots == (snapshot("good"),)
    assert loaded.unreadable == {}
    assert list(loaded.unreadable_snapshots) == ["bad"]
    assert "malformed" in loaded.unreadable_snapshots["bad"]
    assert caught.value.fault.reason is Reason.SNAPSHOT_EXISTS
    assert await store.load() == loaded
    await store.close()


async def test_memory_keeps_unreadable_names_as_the_disk_does() -> None:
    unreadable = {"bad": "malformed"}
    store = MemoryStore(Loaded(unreadable={"box": "old"}, unreadable_snapshots=unreadable))
    with pytest.raises(CubeletError) as caught:
        await store.commit(replace(change(), snapshots=(snapshot("bad"),)))
    assert caught.value.fault.reason is Reason.SNAPSHOT_EXISTS
    await store.commit(change())
    assert await store.load() == Loaded(records=(record(),), unreadable_snapshots=unreadable)
