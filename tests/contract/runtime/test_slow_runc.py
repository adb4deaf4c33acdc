"""The real shim over a runc that takes its time: nobody's impatience ends a call half-way."""

from __future__ import annotations

import asyncio

import pytest

from cubelet.core.evidence import Status
from tests.contract.runtime.rig import Rig, alive, freezer_state, state
from tests.support.polling import eventually
from tests.support.runc_wrapper import RuncWrapper

pytestmark = pytest.mark.real


async def test_a_pause_that_is_given_up_on_still_comes_to_its_end(
    slow_rig: Rig, runc: RuncWrapper
) -> None:
    record = await slow_rig.counting()
    runc.delay("pause", record.id, 0.5)
    pause = asyncio.create_task(slow_rig.runtime.pause(record))
    await eventually(lambda: runc.has_begun("pause", record.id), what="runc pause is called")
    pause.cancel()
    await asyncio.wait({pause})
    await slow_rig.hinted(record, "/tasks/paused")
    assert runc.has_slept_through("pause", record.id)
    assert freezer_state(slow_rig, record) == "FROZEN"
    assert await state(slow_rig.runtime, record) == alive(slow_rig, record, Status.PAUSED)


async def test_a_removal_does_not_wait_for_a_pause_that_hangs(
    slow_rig: Rig, runc: RuncWrapper
) -> None:
    record = await slow_rig.counting()
    runc.delay("pause", record.id, 30)
    pause = asyncio.create_task(slow_rig.runtime.pause(record))
    await eventually(lambda: runc.has_begun("pause", record.id), what="runc pause is called")
    async with asyncio.timeout(25):
        await slow_rig.runtime.destroy(record)
    assert slow_rig.leftovers(record) == []
    with pytest.raises(Exception, match="was lost"):
        await pause
