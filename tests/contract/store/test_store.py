"""What every store promises, asked of each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from cubelet.core.effects import Entry
from cubelet.core.faults import Code, CubeletError, Reason
from cubelet.engine.ports import Change, Loaded, Store
from tests.contract.store.disks import FRESH, Disk
from tests.contract.store.samples import AWKWARD, change, entry, outcome, record, snapshot


async def again(disk: Disk, store: Store) -> Loaded:
    """What the next agent finds."""
    await store.close()
    following = await disk.open()
    try:
        return await following.load()
    finally:
        await following.close()


def revisions(entries: Sequence[Entry]) -> list[int]:
    return [one.revision for one in entries]


async def test_a_new_store_is_empty(store: Store) -> None:
    assert await store.load() == Loaded(incomplete=FRESH)
    assert await store.journal("box", limit=10) == ()
    assert await store.journal("", limit=10) == ()
    assert await store.outcome("box", "key") is None


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
    assert revisions(await store.journal("box", limit=3)) == [5, 6, 7]
    assert revisions(await store.journal("box", limit=100)) == list(range(1, 8))
    assert await store.journal("box", limit=0) == ()
    assert await store.journal("box", limit=-1) == ()
    assert await store.journal("nobody", limit=100) == ()


async def test_the_journal_of_all_gives_the_newest_of_all(store: Store) -> None:
    for revision in range(1, 4):
        await store.commit(change(revision=revision))
        await store.commit(change("other", revision=revision))
    expected = (entry("other", revision=2), entry(revision=3), entry("other", revision=3))
    assert await store.journal("", limit=3) == expected
    assert len(await store.journal("", limit=100)) == 6
    assert await store.journal("", limit=0) == ()


async def test_the_entries_of_one_change_keep_their_order(store: Store) -> None:
    entries = tuple(entry(revision=number) for number in (3, 1, 2))
    await store.commit(Change(id="box", record=record(), entries=entries))
    assert await store.journal("box", limit=10) == entries


async def test_many_at_once_all_arrive(disk: Disk, store: Store) -> None:
    names = [f"box-{number:03}" for number in range(300)]
    await asyncio.gather(*(store.commit(change(name)) for name in names))
    assert [one.id for one in (await again(disk, store)).records] == names


async def test_changes_of_one_sandbox_keep_their_order(disk: Disk, store: Store) -> None:
    changes = [change(revision=number) for number in range(1, 201)]
    await asyncio.gather(*map(store.commit, changes))
    assert (await again(disk, store)).records == (record(revision=200),)


def answered(*keys: str, failed: bool = False, revision: int = 1) -> Change:
    outcomes = tuple(outcome(key, failed=failed) for key in keys)
    return replace(change(revision=revision), outcomes=outcomes)


@pytest.mark.parametrize("failed", [False, True])
async def test_an_outcome_comes_back_exactly(disk: Disk, store: Store, failed: bool) -> None:  # noqa: FBT001
    await store.commit(answered("key", AWKWARD, failed=failed))
    assert await store.outcome("box", AWKWARD) == outcome(AWKWARD, failed=failed)
    await store.close()
    following = await disk.open()
    assert await following.outcome("box", "key") == outcome("key", failed=failed)
    await following.close()


async def test_an_outcome_is_that_of_its_sandbox_and_key(store: Store) -> None:
    await store.commit(answered("key"))
    assert await store.outcome("box", "ke") is None
    assert await store.outcome("other", "key") is None
    assert await store.outcome("a", "key") is None
    assert await store.outcome("", "") is None


async def test_an_outcome_outlives_its_sandbox(store: Store) -> None:
    await store.commit(Change(id="box", record=None, outcomes=(outcome(),)))
    assert (await store.load()).records == ()
    assert await store.outcome("box", "key") == outcome()


async def test_the_first_answer_of_a_key_stands_and_the_change_is_written(store: Store) -> None:
    await store.commit(answered("key"))
    await store.commit(answered("key", "new", failed=True, revision=2))
    assert await store.outcome("box", "key") == outcome("key")
    assert await store.outcome("box", "new") == outcome("new", failed=True)
    assert (await store.load()).records == (record(revision=2),)
    assert revisions(await store.journal("box", limit=9)) == [1, 2]


async def test_the_catalog_comes_back_in_the_order_of_writing(disk: Disk, store: Store) -> None:
    taken = [snapshot(name, created_at_ns=at) for name, at in (("c", 2), ("a", 3), ("b", 1))]
    await store.commit(replace(change(), snapshots=taken[:1]))
    await store.commit(replace(change(), snapshots=taken[1:]))
    assert (await store.load()).snapshots == tuple(taken)
    assert (await again(disk, store)).snapshots == tuple(taken)


async def test_a_snapshot_outlives_its_sandbox(store: Store) -> None:
    await store.commit(replace(change(), snapshots=(snapshot("snap"),)))
    await store.commit(Change(id="box", record=None))
    assert (await store.load()).snapshots == (snapshot("snap"),)


async def test_a_name_that_is_taken_refuses_the_whole_change(disk: Disk, store: Store) -> None:
    await store.commit(replace(change(), snapshots=(snapshot("snap"),)))
    second = replace(answered("key", revision=2), snapshots=(snapshot("x"), snapshot("snap")))
    with pytest.raises(CubeletError) as caught:
        await store.commit(second)
    assert caught.value.fault.code is Code.ALREADY_EXISTS
    assert caught.value.fault.reason is Reason.SNAPSHOT_EXISTS
    assert "snap" in caught.value.fault.message
    assert await store.outcome("box", "key") is None
    assert revisions(await store.journal("", limit=9)) == [1]
    kept = Loaded(records=(record(),), snapshots=(snapshot("snap"),), incomplete=FRESH)
    assert await again(disk, store) == kept


async def test_a_closed_store_refuses(store: Store) -> None:
    await store.commit(change())
    await store.close()
    await store.close()
    calls = (
        store.commit(change()),
        store.load(),
        store.journal("box", limit=1),
        store.outcome("box", "key"),
        store.completed(),
        store.retain(1),
        store.probe(),
        store.backup("copy"),
    )
    for call in calls:
        with pytest.raises(CubeletError) as caught:
            await call
        assert caught.value.fault.reason is Reason.SHUTTING_DOWN
        assert caught.value.fault.retryable
