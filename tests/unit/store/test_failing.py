from __future__ import annotations

import asyncio

import pytest

from cubelet.core.faults import CubeletError, Reason
from cubelet.engine.ports import Loaded
from cubelet.store.failing import FailingStore
from cubelet.store.memory import MemoryStore
from tests.contract.store.samples import change


async def outcomes(store: FailingStore, count: int) -> list[bool]:
    """Whether each of the next commits went well, and that it was written just then."""
    return [await went_well(store) for _ in range(count)]


async def went_well(store: FailingStore) -> bool:
    before = len((await store.load()).records)
    (answer,) = await asyncio.gather(
        store.commit(change(f"box-{store.writes.asked}")), return_exceptions=True
    )
    written = len((await store.load()).records) - before
    if isinstance(answer, CubeletError):
        assert answer.fault.reason is Reason.STORE_FAILED
    assert written == (answer is None)
    return answer is None


@pytest.mark.parametrize(
    ("nth", "for_ever", "expected"),
    [
        (1, False, [False, True, True, True]),
        (3, False, [True, True, False, True]),
        (2, True, [True, False, False, False]),
    ],
)
async def test_it_fails_as_told(nth: int, for_ever: bool, expected: list[bool]) -> None:  # noqa: FBT001
    store = FailingStore(MemoryStore())
    assert await outcomes(store, 2) == [True, True]
    store.writes.plan(nth=nth, for_ever=for_ever)
    assert await outcomes(store, 4) == expected
    store.writes.heal()
    assert await outcomes(store, 2) == [True, True]
    assert store.writes.asked == 8


async def test_reads_fail_as_told_and_let_writes_pass() -> None:
    store = FailingStore(MemoryStore())
    store.reads.plan(for_ever=True)
    await store.commit(change())
    for call in (store.load(), store.journal("box", limit=1), store.outcome("box", "key")):
        with pytest.raises(CubeletError) as caught:
            await call
        assert caught.value.fault.reason is Reason.STORE_FAILED
    store.reads.heal()
    assert len((await store.load()).records) == 1
    assert store.reads.asked == 4


async def test_each_kind_of_write_fails_as_told_and_changes_nothing() -> None:
    inner = MemoryStore(Loaded(incomplete="there was no file"))
    store = FailingStore(inner)
    await store.commit(change())
    before = await store.load()
    store.writes.plan(for_ever=True)
    for call in (store.completed(), store.retain(10**19), store.probe(), store.backup("copy")):
        with pytest.raises(CubeletError) as caught:
            await call
        assert caught.value.fault.reason is Reason.STORE_FAILED
    assert await store.load() == before
    store.writes.heal()
    await store.backup("copy")
    assert store.writes.asked == 6
