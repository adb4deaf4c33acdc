"""What a runtime says of a sandbox whose shim or process is not as it should be."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from cubelet.core.evidence import Gone, NoAnswer, Status
from cubelet.core.faults import Reason
from cubelet.core.model import Call
from cubelet.engine.ports import CallFailed
from tests.contract.runtime.rig import Rig, alive, handle_of, processes, state, with_containers


async def test_a_hung_shim_gives_no_answer_and_the_late_one_is_not_lost(rig: Rig) -> None:
    record = await rig.counting()
    shim = handle_of(record).shim_pid
    os.kill(shim, signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await rig.runtime.state(record)
    pause = asyncio.create_task(rig.runtime.pause(record))
    await asyncio.wait({pause}, timeout=0.1)
    assert not pause.done()
    os.kill(shim, signal.SIGCONT)
    await pause
    assert await state(rig.runtime, record) == alive(rig, record, Status.PAUSED)


async def test_a_caller_that_is_cancelled_leaves_the_call_and_the_connection_as_they_are(
    rig: Rig,
) -> None:
    record = await rig.counting()
    shim = handle_of(record).shim_pid
    os.kill(shim, signal.SIGSTOP)
    pause = asyncio.create_task(rig.runtime.pause(record))
    await asyncio.wait({pause}, timeout=0.1)
    pause.cancel()
    await asyncio.wait({pause})
    os.kill(shim, signal.SIGCONT)
    await rig.hinted(record, "/tasks/paused")
    assert await rig.stands_still(record)


@with_containers
async def test_a_dead_shim_with_a_living_process_is_no_end(rig: Rig) -> None:
    record = await rig.counting()
    shim, init = processes(handle_of(record))
    assert shim.kill()
    assert await shim.ended(5)
    evidence = await state(rig.runtime, record)
    assert isinstance(evidence, NoAnswer)
    assert evidence.why == f"shim {shim.pid} is gone, its process {init.pid} lives"


async def test_gone_is_said_when_shim_and_process_are_no_more(rig: Rig) -> None:
    record = await rig.counting()
    shim, init = processes(handle_of(record))
    for process in (shim, init):
        process.kill()
        assert await process.ended(5)
    assert isinstance(await state(rig.runtime, record), Gone)
    with pytest.raises(CallFailed) as failure:
        await rig.runtime.pause(record)
    assert failure.value.fault.reason is Reason.RUNTIME_UNREACHABLE
    assert failure.value.call is Call.ANSWERED


async def test_a_call_that_loses_its_shim_may_still_have_happened(rig: Rig) -> None:
    record = await rig.counting()
    shim, _ = processes(handle_of(record))
    os.kill(shim.pid, signal.SIGSTOP)
    pause = asyncio.create_task(rig.runtime.pause(record))
    await asyncio.wait({pause}, timeout=0.1)
    shim.kill()
    with pytest.raises(CallFailed) as failure:
        await pause
    assert failure.value.fault.reason is Reason.RUNTIME_LOST
    assert failure.value.call is Call.LOST


async def test_without_a_handle_nothing_is_known(rig: Rig) -> None:
    record = rig.record()
    assert isinstance(await state(rig.runtime, record), NoAnswer)
    with pytest.raises(CallFailed) as failure:
        await rig.runtime.pause(record)
    assert failure.value.call is Call.ANSWERED
