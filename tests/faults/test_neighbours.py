"""Sandboxes that hang take nothing from the others, and a storm of requests ends in the truth."""

from __future__ import annotations

import asyncio

import pytest

from shimclient.errors import Code, ShimError
from tests.support.crowd import Census, Crowd, names, settled
from tests.support.polling import until
from tests.support.storm import storm

pytestmark = pytest.mark.timeout(300)

SIZE, HUNG = 100, 10


async def test_hung_neighbours(crowd: Crowd) -> None:
    ids = names(SIZE)
    stopped, held, calm = ids[: HUNG // 2], ids[HUNG // 2 : HUNG], ids[HUNG:]
    empty = crowd.census()
    await crowd.create(ids)
    full = crowd.census()

    await crowd.hang(stopped=stopped, held=held)
    await crowd.each(crowd.pause, calm)
    assert await crowd.differences(calm) == []
    await crowd.each(crowd.resume, calm)
    assert [await settled(pause) for pause in crowd.hung] == [Code.DEADLINE_EXCEEDED] * HUNG
    await crowd.each(crowd.pause, calm)
    listed = await crowd.states()
    assert {listed[name] for name in stopped + held} == {"PAUSING"}
    assert {listed[name] for name in calm} == {"PAUSED"}

    crowd.wake()
    await until(lambda: _all_are(crowd, stopped, "PAUSED"), what="the pauses that came late show")
    assert await crowd.differences(calm + stopped) == []
    await _has(crowd, full)

    await crowd.each(crowd.delete, ids)
    assert await crowd.states() == {}
    await _has(crowd, empty)


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_storm_of_requests(crowd: Crowd, seed: int) -> None:
    ids = names(SIZE)
    empty = crowd.census()
    await crowd.create(ids)
    outcome = await storm(crowd, ids, each=10, seed=seed)
    assert outcome.violations == []
    assert outcome.done.total() == 10 * SIZE
    assert await crowd.differences(ids) == []
    await crowd.each(crowd.delete, list(await crowd.states()))
    await _has(crowd, empty)


async def test_an_agent_that_is_killed_amid_creates(crowd: Crowd) -> None:
    """Shims are being forked at that moment; the zygote ends, and none of them is lost."""
    ids = names(SIZE // 2)
    creating = asyncio.create_task(crowd.create(ids))
    await until(lambda: _several_run(crowd), what="some are made, and some are on their way")
    old = {one.pid for one in crowd.zygotes()}
    assert old
    await crowd.restart()
    with pytest.raises(ShimError):
        await creating
    await until(lambda: _none_differs(crowd, ids), what="what was half made is gone")
    assert {one.pid for one in crowd.zygotes()}.isdisjoint(old)
    listed = await crowd.states()
    assert 0 < len(listed) < len(ids)
    assert {bundle.name for bundle in (crowd.folder / "sandboxes").iterdir()} == set(listed)
    await crowd.each(crowd.delete, list(listed))
    await until(lambda: _nobody_is_left(crowd), what="no shim is left")


async def _several_run(crowd: Crowd) -> bool:
    return list((await crowd.states()).values()).count("RUNNING") > SIZE // 10


async def _none_differs(crowd: Crowd, ids: list[str]) -> bool:
    return await crowd.differences(ids) == []


async def _nobody_is_left(crowd: Crowd) -> bool:
    return crowd.processes() == crowd.zygotes()


async def _all_are(crowd: Crowd, ids: list[str], state: str) -> bool:
    listed = await crowd.states()
    return {listed[name] for name in ids} == {state}


async def _has(crowd: Crowd, wanted: Census) -> None:
    """The agent's open files come back to what they were, and it reaps its children."""

    async def has() -> bool:
        return await asyncio.to_thread(crowd.census) == wanted

    try:
        await until(has, what="the agent has let go of what it had open")
    except AssertionError:
        raise AssertionError(f"{crowd.census()} instead of {wanted}") from None
