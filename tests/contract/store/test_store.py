"""What every store promises, asked of each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest

from cubelet.core.faults import CubeletError, Reason
from cubelet.engine.ports import Change, Loaded, Store
from cubelet.store.failing import FailingStore
from cubelet.store.memory import MemoryStore
from cubelet.store.sqlite import SqliteStore
from tests.contract.store.samples import change, entry, record

ENTRIES_MAX = 50


class Disk(Protocol):
    """Where one store after another finds the same things."""

    async def open(self) -> Store: ...


class SqliteDisk:
    def __init__(self, path: Path) -> None:
        self.path = path

    async def open(self) -> Store:
        return await SqliteStore.open(
            self.path / "store.db", boot_id="b", now_ns=1, entries_max=ENTRIES_MAX
        )


class MemoryDisk:
    def __init__(self, path: Path) -> None:
        del path
        self.store = MemoryStore(entries_max=ENTRIES_MAX)

    async def open(self) -> Store:
        self.store = self.store.reopened()
        return self.store


class FailingDisk(SqliteDisk):
    async def open(self) -> Store:
        return FailingStore(await super().open())


@pytest.fixture(params=[SqliteDisk, MemoryDisk, FailingDisk])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    made: Disk = request.param(tmp_path)
    return made


@pytest.fixture
async def store(disk: Disk) -> AsyncIterator[Store]:
    opened = await disk.open()
    yield opened
    await opened.close()


async def again(disk: Disk, store: Store) -> Loaded:
    """What the next agent finds."""
    await store.close()
    following = await disk.open()
    try:
        return await following.load()
    finally:
        await following.close()


async def test_a_new_store_is_empty(store: Store) -> None:
    assert await store.load() == Loaded(records=(), unreadable={})
    assert await store.journal("box", limit=10) == ()


async def test_a_record_comes_back_exactly(disk: Disk, store: Store) -> None:
    await store.commit(change())
    assert (await store.load()).records == (record(),)
    assert (await again(disk, store)).records == (record(),)


async def test_the_last_record_stands(disk: Disk, store: Store) -> None:
    for revision in (1, 2, 3):
        await store.commit(change(revision=revision))
    assert (await again(disk, store)).records == (record(revision=3),)


async def test_records_do_not_touch_each_other(store: Store) -> None:
    for name in ("b", "a", "c"):
        await store.commit(change(name))
    await store.commit(Change(id="b", record=None))
    assert [one.id for one in (await store.load()).records] == ["a", "c"]


async def test_a_removed_record_leaves_its_journal(disk: Disk, store: Store) -> None:
    await store.commit(change())
    await store.commit(Change(id="box", record=None, entries=(entry(revision=2),)))
    assert await store.journal("box", limit=10) == (entry(revision=1), entry(revision=2))
    assert (await again(disk, store)).records == ()


async def test_removing_what_is_not_there_is_no_error(store: Store) -> None:
    await store.commit(Change(id="nobody", record=None))
    assert (await store.load()).records == ()


async def test_the_journal_gives_the_newest_oldest_first(store: Store) -> None:
    for revision in range(1, 8):
        await store.commit(change(revision=revision))
        await store.commit(change("other", revision=revision))
    assert [one.revision for one in await store.journal("box", limit=3)] == [5, 6, 7]
    assert [one.revision for one in await store.journal("box", limit=100)] == list(range(1, 8))
    assert await store.journal("box", limit=0) == ()


async def test_the_journal_drops_the_oldest_beyond_its_limit(store: Store) -> None:
    for revision in range(1, ENTRIES_MAX + 11):
        await store.commit(change(revision=revision))
    kept = [one.revision for one in await store.journal("box", limit=1000)]
    assert kept == list(range(11, ENTRIES_MAX + 11))


async def test_the_entries_of_one_change_keep_their_order(store: Store) -> None:
    entries = tuple(entry(revision=number) for number in (3, 1, 2))
    await store.commit(Change(id="box", record=record(), entries=entries))
    assert await store.journal("box", limit=10) == entries


async def test_many_at_once_all_arrive(disk: Disk, store: Store) -> None:
    names = [f"box-{number:03}" for number in range(300)]
    await asyncio.gather(*(store.commit(change(name)) for name in names))
    assert [one.id for one in (await again(disk, store)).records] == names


async def test_changes_of_one_sandbox_keep_their_order(disk: Disk, store: Store) -> None:
    revisions = range(1, 201)
    await asyncio.gather(*(store.commit(change(revision=number)) for number in revisions))
    assert (await again(disk, store)).records == (record(revision=200),)


async def test_a_closed_store_refuses(store: Store) -> None:
    await store.commit(change())
    await store.close()
    await store.close()
    calls = (store.commit(change()), store.load(), store.journal("box", limit=1))
    for call in calls:
        with pytest.raises(CubeletError) as caught:
            await call
        assert caught.value.fault.reason is Reason.SHUTTING_DOWN
        assert caught.value.fault.retryable
