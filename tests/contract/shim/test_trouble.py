"""What every shim does when a pause is slow, its caller gives up, or the shim dies."""

from __future__ import annotations

import asyncio
import os

import pytest

from shimclient.client import Client
from shimclient.errors import ConnectFailed, LocalDeadline, NotFound, TransportLost
from shimclient.task import Status, Task
from tests.support.labs import PATIENCE_S, ShimLab, runs, stands_still
from tests.support.polling import eventually

SLOW_S = 1.0


async def test_state_waits_for_a_pause(lab: ShimLab) -> None:
    await lab.run()
    await lab.slow_pauses(SLOW_S)
    pause = asyncio.create_task(lab.task.pause(lab.id, local_timeout_s=PATIENCE_S))
    await asyncio.sleep(SLOW_S / 5)
    with pytest.raises(LocalDeadline):
        await lab.task.state(lab.id, local_timeout_s=SLOW_S / 5)
    assert not pause.done()
    answer = await lab.task.state(lab.id, local_timeout_s=PATIENCE_S)
    # runc's shim answers the stale PAUSING to a question that was put during the pause.
    assert answer.status in {Status.PAUSED, Status.PAUSING}
    await pause
    assert (await lab.task.state(lab.id, local_timeout_s=PATIENCE_S)).status is Status.PAUSED


async def test_a_pause_that_its_caller_gave_up_happens_all_the_same(lab: ShimLab) -> None:
    await lab.run()
    await lab.events_until("/tasks/start")
    await lab.slow_pauses(SLOW_S)
    with pytest.raises(LocalDeadline):
        await lab.task.pause(lab.id, local_timeout_s=SLOW_S / 5)
    assert (await lab.event()).topic == "/tasks/paused"
    assert (await lab.task.state(lab.id, local_timeout_s=PATIENCE_S)).status is Status.PAUSED
    assert (lab.client.late_replies, lab.client.pending) == (1, 0)
    await lab.task.resume(lab.id, local_timeout_s=PATIENCE_S)


async def test_a_pause_goes_on_when_another_connection_drops(lab: ShimLab) -> None:
    await lab.run()
    other = await Client.connect(lab.address.address)
    await lab.slow_pauses(SLOW_S / 2)
    pause = asyncio.create_task(lab.task.pause(lab.id, local_timeout_s=PATIENCE_S))
    await other.close()
    await pause
    assert (await lab.task.state(lab.id, local_timeout_s=PATIENCE_S)).status is Status.PAUSED


async def refuses_connections(lab: ShimLab) -> None:
    """A dying process closes its connections before its listener: wait for that, too."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                client = await Client.connect(lab.address.address)
            except ConnectFailed:
                return
            await client.close()


async def test_a_shim_that_is_killed_mid_pause_fails_all_calls_at_once(lab: ShimLab) -> None:
    pid = await lab.run()
    await lab.slow_pauses(60)
    calls = [
        asyncio.create_task(lab.task.pause(lab.id, local_timeout_s=None)),
        asyncio.create_task(lab.task.wait(lab.id)),
    ]
    await asyncio.sleep(SLOW_S / 5)
    os.kill(lab.shim_pid, 9)
    async with asyncio.timeout(PATIENCE_S):
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [TransportLost, TransportLost]
    await refuses_connections(lab)
    os.kill(pid, 0)  # The task outlives its shim ...
    assert (await lab.clean_up()).exit_status == 137
    await eventually(lambda: not runs(pid), what="the clean-up ends it")


async def test_a_stopped_shim_accepts_and_does_late_what_nobody_waits_for(lab: ShimLab) -> None:
    await lab.run()
    await lab.events_until("/tasks/start")
    os.kill(lab.shim_pid, 19)
    try:
        await eventually(lambda: stands_still(lab.shim_pid), what="the shim stops")
        second = await Client.connect(lab.address.address)
        with pytest.raises(LocalDeadline):
            await Task(second).state(lab.id, local_timeout_s=0.1)
        with pytest.raises(LocalDeadline):
            await lab.task.pause(lab.id, local_timeout_s=0.1)
    finally:
        os.kill(lab.shim_pid, 18)
    assert (await lab.event()).topic == "/tasks/paused"
    assert (await lab.task.state(lab.id, local_timeout_s=PATIENCE_S)).status is Status.PAUSED
    await second.close()


async def test_all_who_wait_for_a_killed_task_get_the_same_answer(
    lab: ShimLab,
) -> None:
    await lab.run()
    waits = [asyncio.create_task(lab.task.wait(lab.id)) for _ in range(20)]
    await lab.task.kill(lab.id, 9, local_timeout_s=PATIENCE_S)
    async with asyncio.timeout(PATIENCE_S):
        ended = await asyncio.gather(*waits)
    assert len(set(ended)) == 1
    with pytest.raises(NotFound):
        await lab.task.kill(lab.id, 9, local_timeout_s=PATIENCE_S)
