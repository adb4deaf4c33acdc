"""The real shim over a runc that takes its time: nobody's impatience ends a call half-way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cubelet.core.evidence import Alive, NoAnswer, Status
from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.kinds import SHIMV2
from tests.contract.runtime.rig import Rig, freezer_file, freezer_state, handle_of, state
from tests.support.polling import eventually
from tests.support.runc_wrapper import RuncWrapper

pytestmark = pytest.mark.real


@pytest.fixture
def runc(tmp_path: Path) -> RuncWrapper:
    folder = tmp_path / "wrapper"
    folder.mkdir()
    return RuncWrapper(folder)


@pytest.fixture
async def rig(tmp_path: Path, templates: Path, runc: RuncWrapper) -> AsyncIterator[Rig]:
    config = RuntimeConfig(
        state_dir=tmp_path / "state",
        templates_dir=templates,
        runc_binary=str(runc.path),
        ask_timeout_s=1.0,
    )
    rig = Rig(SHIMV2, config, template="mini")
    async with rig.listening():
        yield rig
        await rig.close()


async def test_a_pause_that_is_given_up_on_still_comes_to_its_end(
    rig: Rig, runc: RuncWrapper
) -> None:
    record = await rig.counting()
    runc.delay("pause", record.id, 0.5)
    pause = asyncio.create_task(rig.runtime.pause(record))
    await eventually(lambda: runc.has_begun("pause", record.id), what="runc pause is called")
    pause.cancel()
    await asyncio.wait({pause})
    await rig.hinted(record, "/tasks/paused")
    assert runc.has_slept_through("pause", record.id)
    assert freezer_state(record) == "FROZEN"
    paused = Alive(status=Status.PAUSED, pid=handle_of(record).pid)
    assert await state(rig.runtime, record) == paused


async def test_a_removal_does_not_wait_for_a_pause_that_hangs(rig: Rig, runc: RuncWrapper) -> None:
    record = await rig.counting()
    runc.delay("pause", record.id, 30)
    pause = asyncio.create_task(rig.runtime.pause(record))
    await eventually(lambda: runc.has_begun("pause", record.id), what="runc pause is called")
    async with asyncio.timeout(25):
        await rig.runtime.destroy(record)
    assert rig.leftovers(record) == []
    with pytest.raises(Exception, match="was lost"):
        await pause


async def test_a_shims_word_against_the_kernels_is_no_answer(rig: Rig) -> None:
    record = await rig.counting()
    freezer = freezer_file(record)
    freezer.write_text("FROZEN")
    await eventually(lambda: freezer_state(record) == "FROZEN", what="frozen behind its back")
    assert await state(rig.runtime, record) == NoAnswer(
        why="the shim says RUNNING, but its processes are frozen"
    )
    freezer.write_text("THAWED")
    assert isinstance(await state(rig.runtime, record), Alive)
    await rig.runtime.pause(record)
    freezer.write_text("THAWED")
    assert await state(rig.runtime, record) == NoAnswer(
        why="the shim says PAUSED, but its processes are not frozen"
    )
