"""What a store keeps of what only grows, asked of each."""

from __future__ import annotations

from dataclasses import replace

from cubelet.core.effects import Entry
from cubelet.core.model import Outcome
from cubelet.engine.ports import Change, Store
from tests.contract.store.disks import AGE_S, JOURNAL, OUTCOMES
from tests.contract.store.samples import entry, outcome, record

SECOND = 10**9
#: When everything is written that a test does not stamp otherwise.
THEN = 10**18
YOUNG = THEN + AGE_S * SECOND
OLD = YOUNG + 1


def line(number: int, *, at_ns: int = THEN) -> Entry:
    return replace(entry(revision=number), at_ns=at_ns)


def answer(number: int, *, at_ns: int = THEN) -> Outcome:
    return replace(outcome(str(number)), at_ns=at_ns)


async def write(store: Store, count: int, *, first: int = 1, at_ns: int = THEN) -> None:
    numbers = range(first, first + count)
    change = Change(
        id="box",
        record=record(),
        entries=[line(number, at_ns=at_ns) for number in numbers],
        outcomes=[answer(number, at_ns=at_ns) for number in numbers],
    )
    await store.commit(change)


async def lines(store: Store) -> list[int]:
    return [one.revision for one in await store.journal("", limit=10_000)]


async def answers(store: Store, written: int) -> list[int]:
    numbers = range(1, written + 1)
    return [number for number in numbers if await store.outcome("box", str(number))]


async def test_nothing_is_dropped_by_itself(store: Store) -> None:
    written = JOURNAL.most + 50
    await write(store, written)
    assert await lines(store) == list(range(1, written + 1))
    assert await answers(store, written) == list(range(1, written + 1))


async def test_an_empty_store_has_nothing_to_drop(store: Store) -> None:
    assert await store.retain(OLD) == 0


async def test_what_is_young_stays_up_to_a_count(store: Store) -> None:
    written = JOURNAL.most + 3
    await write(store, written)
    assert await store.retain(YOUNG) == 3 + written - OUTCOMES.most
    assert await lines(store) == list(range(4, written + 1))
    assert await answers(store, written) == list(range(written - OUTCOMES.most + 1, written + 1))
    assert await store.retain(YOUNG) == 0


async def test_of_what_is_old_the_newest_stay(store: Store) -> None:
    written = JOURNAL.most
    await write(store, written)
    assert await store.retain(OLD) == 2 * written - JOURNAL.newest - OUTCOMES.newest
    assert await lines(store) == list(range(written - JOURNAL.newest + 1, written + 1))
    assert await answers(store, written) == list(range(written - OUTCOMES.newest + 1, written + 1))


async def test_age_drops_what_is_old_and_no_more(store: Store) -> None:
    await write(store, 5)
    await write(store, JOURNAL.newest, first=6, at_ns=THEN + SECOND)
    assert await store.retain(YOUNG) == JOURNAL.newest + 5 - OUTCOMES.most
    await store.retain(OLD)
    assert await lines(store) == list(range(6, JOURNAL.newest + 6))


async def test_a_clock_that_went_back_drops_nothing(store: Store) -> None:
    await write(store, OUTCOMES.most)
    assert await store.retain(THEN - 10**17) == 0


async def test_what_is_written_later_goes_on_where_it_was(store: Store) -> None:
    await write(store, JOURNAL.most)
    await store.retain(OLD)
    kept = await lines(store)
    await write(store, 3, first=JOURNAL.most + 1)
    assert await lines(store) == [*kept, *range(JOURNAL.most + 1, JOURNAL.most + 4)]


async def test_a_forgotten_key_can_be_used_again(store: Store) -> None:
    await write(store, OUTCOMES.newest + 1)
    await store.retain(OLD)
    assert await store.outcome("box", "1") is None
    await store.commit(Change(id="box", record=record(), outcomes=[answer(1, at_ns=THEN + 1)]))
    assert await store.outcome("box", "1") == answer(1, at_ns=THEN + 1)
