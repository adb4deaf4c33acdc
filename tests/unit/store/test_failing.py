from __future__ import annotations

import asyncio

import pytest

from cubelet.core.faults import CubeletError, Reason
from cubelet.store.failing import FailingStore
from cubelet.store.memory import MemoryStore
from tests.contract.store.samples import change


async def outcomes(store: FailingStore, count: int) -> list[bool]:
    """Whether each of the next commits went well, and that it was written just then."""
    return [await went_well(store) for _ in range(count)]


async def went_well(store: FailingStore) -> bool:
    before = len((await store.load()).records)
    (answer,) = await asyncio.gather(
        store.commit(change(f"box-{store.commits}")), return_exceptions=True
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
    store.fail(nth=nth, for_ever=for_ever)
    assert await outcomes(store, 4) == expected
    store.heal()
    assert await outcomes(store, 2) == [True, True]
    assert store.commits == 8
