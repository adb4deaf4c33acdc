"""A real containerd drives our fake shim as one of its own: an independent client's judgement."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.daemon import Containerd
from tests.support.polling import eventually, until

pytestmark = pytest.mark.real


async def remove(containerd: Containerd, name: str) -> None:
    await containerd.ok("tasks", "kill", "-s", "9", name)

    async def stopped() -> bool:
        return await containerd.status(name) == "STOPPED"

    await until(stopped, what="the task stops")
    await containerd.ctr("tasks", "rm", name)  # Says the exit status by its own.
    await containerd.ok("containers", "rm", name)
    await eventually(lambda: not containerd.shims(), what="the shim ends with its task")


async def test_a_whole_life(containerd: Containerd) -> None:
    await containerd.ok("namespaces", "create", "test")
    await containerd.follow_events()
    await containerd.run("box", {})
    assert await containerd.status("box") == "RUNNING"
    await containerd.ok("tasks", "pause", "box")
    assert await containerd.status("box") == "PAUSED"
    status, output = await containerd.ctr("tasks", "pause", "box")
    assert status == 1
    assert "cannot pause box" in output
    await containerd.ok("tasks", "resume", "box")
    assert await containerd.status("box") == "RUNNING"
    await remove(containerd, "box")
    await eventually(lambda: "delete" in containerd.task_events(), what="the last event")
    assert containerd.task_events() == [*("create", "start", "paused", "resumed", "exit", "delete")]


async def test_a_shim_that_crashes_is_cleaned_up(containerd: Containerd) -> None:
    await containerd.ok("namespaces", "create", "test")
    await containerd.follow_events()
    await containerd.run("box", {"failpoints": "pause=crash"})
    status, _ = await containerd.ctr("tasks", "pause", "box")
    assert status == 1
    await eventually(lambda: "delete" in containerd.task_events(), what="containerd's own events")
    assert containerd.task_events() == ["create", "start", "exit", "delete"]
    assert await containerd.status("box") == ""


async def test_a_slow_pause_makes_containerd_say_unknown_without_an_error(
    containerd: Containerd,
) -> None:
    await containerd.run("box", {"times": {"pause": "4s"}})
    pause = asyncio.create_task(containerd.ok("tasks", "pause", "box"))
    await asyncio.sleep(0.5)
    assert await containerd.status("box") == "UNKNOWN"
    await pause
    assert await containerd.status("box") == "PAUSED"
    await remove(containerd, "box")


async def test_a_task_survives_the_daemon(containerd: Containerd) -> None:
    await containerd.run("box", {})
    await containerd.ok("tasks", "pause", "box")
    await containerd.kill()
    await containerd.start()
    assert await containerd.status("box") == "PAUSED"
    await containerd.ok("tasks", "resume", "box")
    await remove(containerd, "box")
