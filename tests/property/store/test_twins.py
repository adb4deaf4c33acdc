"""Whatever is done to them, the store on disk and its twin in memory tell the same."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cubelet.core.faults import CubeletError
from cubelet.engine.ports import Change, Loaded, Store
from cubelet.store.limits import Keep, Limits
from cubelet.store.memory import MemoryStore
from cubelet.store.sqlite import SqliteStore
from tests.contract.store.samples import entry, outcome, record, snapshot

LIMITS = Limits(journal=Keep(newest=2, age_s=5, most=6), outcomes=Keep(newest=1, age_s=3, most=4))
NAMES = ["a", "b", "c"]
SECOND = 10**9

names = st.sampled_from(NAMES)
numbers = st.integers(1, 9)
stamps = st.integers(0, 10)


@st.composite
def changes(draw: st.DrawFn) -> Change:
    name = draw(names)
    at_ns = draw(stamps) * SECOND
    return Change(
        id=name,
        record=draw(st.none() | numbers.map(lambda revision: record(name, revision=revision))),
        entries=[
            replace(entry(name, revision=revision), at_ns=at_ns)
            for revision in draw(st.lists(numbers, max_size=3))
        ],
        outcomes=[
            replace(outcome(str(key), name), at_ns=at_ns)
            for key in draw(st.lists(numbers, max_size=2))
        ],
        snapshots=[snapshot(str(taken)) for taken in draw(st.lists(numbers, max_size=1))],
        synced=draw(st.booleans()),
    )


#: What is done to both: a change, a cleaning at some second, a restart, or that all is known.
steps = st.one_of(changes(), stamps, st.sampled_from(["restart", "completed", "probe"]))


async def done(store: Store, step: Any) -> Any:
    """What the store answers to it."""
    try:
        if isinstance(step, Change):
            return await store.commit(step)
        if isinstance(step, int):
            return await store.retain(step * SECOND)
        if step == "completed":
            return await store.completed()
        return await store.probe()
    except CubeletError as refused:
        return refused.fault


async def all_told(store: Store) -> list[Any]:
    return [
        await store.load(),
        [await store.journal(name, limit=limit) for name in ["", *NAMES] for limit in (2, 99)],
        [await store.outcome(name, str(key)) for name in NAMES for key in range(1, 10)],
    ]


async def compare(path: Path, course: list[Any]) -> None:
    def opened() -> Any:
        return SqliteStore.open(path, boot_id="b", now_ns=1, limits=LIMITS)

    disk = await opened()
    memory = MemoryStore(Loaded(incomplete="there was no file"), limits=LIMITS)
    try:
        for step in course:
            if step == "restart":
                await disk.close()
                disk, memory = await opened(), memory.reopened()
            else:
                assert await done(disk, step) == await done(memory, step)
            assert await all_told(disk) == await all_told(memory)
    finally:
        await disk.close()


@settings(max_examples=25)
@given(st.lists(steps, max_size=12))
def test_they_tell_the_same(course: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare(Path(folder) / "store.db", course))
