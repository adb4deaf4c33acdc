"""The fake shim's faults, each shown by what a client sees, in virtual time."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from shimclient.api import fake_pb2, task_pb2
from shimclient.errors import LocalDeadline, NotFound, Refused, StatusError
from shimclient.fake.protocol import CONTROL_SERVICE
from shimclient.task import CreateRequest, Status
from tests.support.fakes import InLoopShim, in_loop_shim
from tests.support.virtual_time import in_virtual_time


async def status(shim: InLoopShim, timeout_s: float | None = None) -> Status:
    return (await shim.task.state("a", local_timeout_s=timeout_s)).status


def now_s() -> float:
    return asyncio.get_running_loop().time()


@in_virtual_time
async def test_a_whole_life(tmp_path: Path) -> None:
    async with in_loop_shim(tmp_path) as shim:
        await shim.run("a")
        await shim.task.pause("a", local_timeout_s=1)
        assert await status(shim) is Status.PAUSED
        await shim.task.resume("a", local_timeout_s=1)
        assert await status(shim) is Status.RUNNING
        await shim.task.kill("a", 9, local_timeout_s=1)
        assert (await shim.task.wait("a")).exit_status == 137
        assert (await shim.task.delete("a", local_timeout_s=1)).exit_status == 137
        with pytest.raises(NotFound):
            await status(shim)
        assert shim.topics() == [
            *("TaskCreate", "TaskStart", "TaskPaused", "TaskResumed", "TaskExit", "TaskDelete")
        ]


@in_virtual_time
async def test_state_waits_for_a_pause_and_stats_does_not(tmp_path: Path) -> None:
    async with in_loop_shim(tmp_path, times={"pause": "3s"}) as shim:
        await shim.run("a")
        pause = asyncio.create_task(shim.task.pause("a", local_timeout_s=None))
        await asyncio.sleep(0.5)
        with pytest.raises(LocalDeadline):
            await status(shim, timeout_s=2)
        stats = await shim.task.stats("a", local_timeout_s=0.1)
        assert json.loads(stats.value) == {
            "status": "RUNNING",
            "generation": 0,
            "ticks": 2500,
            "pid": shim.service.tasks["a"].pid,
        }
        assert await status(shim) is Status.PAUSED
        await pause
        assert now_s() == pytest.approx(3)


@in_virtual_time
async def test_a_late_pause_happens_after_its_caller_gave_up(tmp_path: Path) -> None:
    async with in_loop_shim(tmp_path, failpoints="pause=1*late(31s)") as shim:
        await shim.run("a")
        with pytest.raises(LocalDeadline):
            await shim.task.pause("a", local_timeout_s=30)
        assert shim.topics() == ["TaskCreate", "TaskStart"]
        assert await status(shim) is Status.PAUSED
        assert now_s() == pytest.approx(31)
        assert shim.topics()[-1] == "TaskPaused"
        assert shim.client.late_replies == 1


@in_virtual_time
async def test_a_delayed_call_holds_nothing_until_it_runs(tmp_path: Path) -> None:
    async with in_loop_shim(tmp_path, failpoints="pause=1*delay(5s)") as shim:
        await shim.run("a")
        pause = asyncio.create_task(shim.task.pause("a", local_timeout_s=None))
        await asyncio.sleep(0.5)
        assert await status(shim) is Status.RUNNING
        await pause
        assert now_s() == pytest.approx(5)
        assert await status(shim) is Status.PAUSED


@in_virtual_time
async def test_a_hanging_pause_blocks_state_and_kill_for_ever_and_nothing_else(
    tmp_path: Path,
) -> None:
    async with in_loop_shim(tmp_path, failpoints="pause=hang") as shim:
        await shim.run("a")
        with pytest.raises(LocalDeadline):
            await shim.task.pause("a", local_timeout_s=30)
        with pytest.raises(LocalDeadline):
            await status(shim, timeout_s=3600)
        with pytest.raises(LocalDeadline):
            await shim.task.kill("a", 9, local_timeout_s=3600)
        other = CreateRequest(id="b", bundle="/b")
        assert await shim.task.create(other, local_timeout_s=1) > 0


@pytest.mark.parametrize(
    ("action", "after"),
    [('error(9, "no")', Status.RUNNING), ('error_after(9, "no")', Status.PAUSED)],
)
def test_an_error_comes_with_or_without_the_effect(
    tmp_path: Path, action: str, after: Status
) -> None:
    @in_virtual_time
    async def scenario() -> None:
        async with in_loop_shim(tmp_path, failpoints=f"pause=1*{action}") as shim:
            await shim.run("a")
            with pytest.raises(Refused) as caught:
                await shim.task.pause("a", local_timeout_s=1)
            assert (caught.value.code, caught.value.message) == (9, "no")
            assert await status(shim) is after

    scenario()


@in_virtual_time
async def test_a_lost_reply_has_its_effect_and_holds_nothing(tmp_path: Path) -> None:
    async with in_loop_shim(tmp_path, failpoints="pause=1*lost") as shim:
        await shim.run("a")
        with pytest.raises(LocalDeadline):
            await shim.task.pause("a", local_timeout_s=1)
        assert await status(shim) is Status.PAUSED
        await shim.task.resume("a", local_timeout_s=1)


@in_virtual_time
async def test_a_lie_is_told_by_state_only(tmp_path: Path) -> None:
    async with in_loop_shim(tmp_path, failpoints="state=1*lie(UNKNOWN)->1*lie(PAUSED)") as shim:
        await shim.run("a")
        assert [await status(shim) for _ in range(3)] == [
            *(Status.UNKNOWN, Status.PAUSED, Status.RUNNING)
        ]


@in_virtual_time
async def test_a_crash_comes_before_the_effect_and_answers_nothing(tmp_path: Path) -> None:
    async with in_loop_shim(tmp_path, failpoints="pause=crash") as shim:
        await shim.run("a")
        with pytest.raises(LocalDeadline):
            await shim.task.pause("a", local_timeout_s=1)
        assert shim.stops == ["crash"]
        assert await status(shim) is Status.RUNNING


@in_virtual_time
async def test_a_wrong_state_is_refused_at_once(tmp_path: Path) -> None:
    async with in_loop_shim(tmp_path, times={"resume": "10s"}) as shim:
        await shim.run("a")
        with pytest.raises(Refused) as caught:
            await shim.task.resume("a", local_timeout_s=1)
        assert caught.value.code == 2


@in_virtual_time
async def test_an_id_that_is_taken_is_refused(tmp_path: Path) -> None:
    async with in_loop_shim(tmp_path) as shim:
        await shim.run("a")
        with pytest.raises(StatusError) as caught:
            await shim.task.create(CreateRequest(id="a"), local_timeout_s=1)
        assert caught.value.code == 6
        assert await status(shim) is Status.RUNNING


@in_virtual_time
async def test_a_signal_to_a_paused_task_waits_for_the_resume(tmp_path: Path) -> None:
    async with in_loop_shim(tmp_path) as shim:
        await shim.run("a")
        await shim.task.pause("a", local_timeout_s=1)
        await shim.task.kill("a", 15, local_timeout_s=1)
        assert await status(shim) is Status.PAUSED
        await shim.task.resume("a", local_timeout_s=1)
        assert (await shim.task.wait("a", local_timeout_s=1)).exit_status == 143


@in_virtual_time
async def test_deleting_a_created_task_answers_those_who_wait(tmp_path: Path) -> None:
    async with in_loop_shim(tmp_path) as shim:
        await shim.task.create(CreateRequest(id="a"), local_timeout_s=1)
        wait = asyncio.create_task(shim.task.wait("a", local_timeout_s=5))
        await asyncio.sleep(1)
        await shim.task.delete("a", local_timeout_s=1)
        assert (await wait).exit_status == 137


@in_virtual_time
async def test_shutdown_stops_the_process_only_without_tasks(tmp_path: Path) -> None:
    async with in_loop_shim(tmp_path) as shim:
        await shim.run("a")
        await shim.task.shutdown("a", now=True, local_timeout_s=1)
        assert shim.stops == []
        await shim.task.kill("a", 9, local_timeout_s=1)
        await shim.task.delete("a", local_timeout_s=1)
        await shim.task.shutdown("a", local_timeout_s=1)
        assert shim.stops == ["stop"]


@in_virtual_time
async def test_events_can_be_dropped_doubled_late_mixed_up_and_silent(tmp_path: Path) -> None:
    events = "events=2*off->1*drop->1*repeat(1)->1*reorder(1)->1*delay(9s)"
    async with in_loop_shim(tmp_path, failpoints=events, silent_topics=["/tasks/delete"]) as shim:
        await shim.run("a")
        for _ in range(2):
            await shim.task.pause("a", local_timeout_s=1)  # Dropped; then held behind the exit.
            await shim.task.resume("a", local_timeout_s=1)  # Twice; then late.
        await shim.task.kill("a", 9, local_timeout_s=1)
        await shim.task.delete("a", local_timeout_s=1)
        expected = ["TaskCreate", "TaskStart", "TaskResumed", "TaskResumed", "TaskExit"]
        assert shim.topics() == [*expected, "TaskPaused"]
        await asyncio.sleep(9)
        assert shim.topics() == [*expected, "TaskPaused", "TaskResumed"]


@in_virtual_time
async def test_the_script_changes_at_run_time_while_the_vm_hangs(tmp_path: Path) -> None:
    async with in_loop_shim(tmp_path, failpoints="pause=1*hang") as shim:
        await shim.run("a")
        with pytest.raises(LocalDeadline):
            await shim.task.pause("a", local_timeout_s=2)
        status_request = fake_pb2.StatusRequest(id="a")
        truth = await shim.client.call(
            CONTROL_SERVICE, "Status", status_request, fake_pb2.StatusReply, local_timeout_s=1
        )
        assert (truth.busy, truth.status, truth.ticks) == (True, Status.RUNNING, 2000)
        request = fake_pb2.SetRequest(failpoints="resume=3*lost", times={"kill": "1500ms"})
        await shim.client.call(
            CONTROL_SERVICE, "Set", request, fake_pb2.ScriptReply, local_timeout_s=1
        )
        script = await shim.client.call(
            CONTROL_SERVICE, "Get", task_pb2.Empty(), fake_pb2.ScriptReply, local_timeout_s=1
        )
        assert script.failpoints == "resume=3*lost"
        assert dict(script.times) == {"kill": "1500ms"}
        assert dict(script.fired) == {"pause": 1}


@in_virtual_time
async def test_a_bad_script_changes_nothing(tmp_path: Path) -> None:
    async with in_loop_shim(tmp_path, failpoints="pause=1*hang") as shim:
        request = fake_pb2.SetRequest(failpoints="pause=off", times={"kill": "soon"})
        with pytest.raises(StatusError) as caught:
            await shim.client.call(
                CONTROL_SERVICE, "Set", request, fake_pb2.ScriptReply, local_timeout_s=1
            )
        assert caught.value.code == 3
        assert shim.service.points.text() == "pause=1*hang"


def test_a_new_process_of_the_shim_goes_on_from_the_state_file(tmp_path: Path) -> None:
    @in_virtual_time
    async def first() -> None:
        async with in_loop_shim(tmp_path) as shim:
            await shim.run("a")
            await asyncio.sleep(2)
            await shim.task.pause("a", local_timeout_s=1)
            await shim.task.resume("a", local_timeout_s=1)
            await shim.task.pause("a", local_timeout_s=1)

    @in_virtual_time
    async def second() -> None:
        async with in_loop_shim(tmp_path) as shim:
            assert await status(shim) is Status.PAUSED
            stats = json.loads((await shim.task.stats("a", local_timeout_s=1)).value)
            assert (stats["generation"], stats["ticks"]) == (1, 2000)
            await shim.task.resume("a", local_timeout_s=1)

    first()
    second()
