"""What every store promises beside its contents: that it is whole, writable, and copied."""

from __future__ import annotations

import asyncio

import pytest

from cubelet.core.faults import Code, CubeletError, Reason
from cubelet.engine.ports import Store
from tests.contract.store.disks import FRESH, Disk
from tests.contract.store.samples import change, record


async def test_a_new_store_does_not_know_whom_it_has_missed(disk: Disk, store: Store) -> None:
    await store.commit(change())
    assert (await store.load()).incomplete == FRESH
    await store.close()
    following = await disk.open()
    assert (await following.load()).incomplete == FRESH
    await following.close()


async def test_once_completed_it_stays_so(disk: Disk, store: Store) -> None:
    await store.completed()
    await store.completed()
    assert (await store.load()).incomplete == ""
    await store.close()
    following = await disk.open()
    assert (await following.load()).incomplete == ""
    await following.close()


async def test_probes_change_nothing_that_is_seen(store: Store) -> None:
    await store.commit(change())
    before = await store.load()
    for _ in range(3):
        await store.probe()
    assert await store.load() == before


async def test_a_backup_has_a_name_of_its_own(store: Store) -> None:
    await store.commit(change())
    first = await store.backup("copy")
    with pytest.raises(CubeletError) as caught:
        await store.backup("copy")
    assert caught.value.fault.code is Code.ALREADY_EXISTS
    assert caught.value.fault.reason is Reason.BACKUP_EXISTS
    second = await store.backup("copy-2")
    assert first.path.endswith("copy.db")
    assert second.path.endswith("copy-2.db")


async def test_changes_go_on_beside_a_backup(store: Store) -> None:
    await asyncio.gather(store.backup("copy"), *(store.commit(change(f"b-{n}")) for n in range(9)))
    assert (await store.load()).records == tuple(record(f"b-{n}") for n in range(9))
