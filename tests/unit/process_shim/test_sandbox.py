"""What may be done to a task when, with a freezer that takes its time or fails."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cubelet.shims.process.errors import FreezeFailed
from cubelet.shims.process.identity import Identity, identify
from cubelet.shims.process.sandbox import Parts, Sandbox
from cubelet.shims.process.spawn import Held
from cubelet.shims.process.stdio import StdinKeeper
from cubelet.shims.process.tree import Walk
from shimclient.errors import StatusError
from shimclient.skeleton.reaper import Child
from shimclient.task import Exit, Status


class SlowFreezer:
    """Freezes when it is told to; fails where it is told to."""

    name = "slow"
    groups: tuple[Path, ...] = ()

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.begun = asyncio.Event()
        self.error = ""
        self.thawed = 0

    async def freeze(self) -> None:
        self.begun.set()
        await self.go.wait()
        if self.error:
            raise FreezeFailed(self.error)

    async def thaw(self) -> None:
        self.thawed += 1
        if self.error:
            raise FreezeFailed(self.error)

    async def remove(self) -> None:
        return


class HeldAlready(Held):
    """A first process that starts at once; here it is the test itself."""

    async def release(self) -> None:
        return


@pytest.fixture
def freezer() -> SlowFreezer:
    return SlowFreezer()


async def make(freezer: SlowFreezer, pid: int) -> tuple[Sandbox, asyncio.Future[int], list[Exit]]:
    identity = identify(pid) or Identity(pid, 0)
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    exits: list[Exit] = []
    held = HeldAlready(identity, Child(pid, ended), -1, -1)
    sandbox = Sandbox(
        Parts(held, freezer, (), StdinKeeper(os.devnull)),
        look_at_tree=lambda: Walk((), whole=True),
        wall_ns=lambda: 42,
        exited=exits.append,
    )
    return sandbox, ended, exits


def ignore() -> None:
    return


@pytest.fixture
async def running(
    freezer: SlowFreezer,
) -> AsyncIterator[tuple[Sandbox, asyncio.Future[int], list[Exit]]]:
    sandbox, ended, exits = await make(freezer, os.getpid())
    await sandbox.start(ignore)
    yield sandbox, ended, exits
    freezer.error = ""
    freezer.go.set()
    if not ended.done():
        ended.set_result(0)
    await sandbox.wait()


Running = tuple[Sandbox, asyncio.Future[int], list[Exit]]


async def test_state_waits_for_a_pause_that_is_going_on(
    running: Running, freezer: SlowFreezer
) -> None:
    sandbox, _, _ = running
    told: list[str] = []
    pausing = asyncio.create_task(sandbox.pause(lambda: told.append("paused")))
    await freezer.begun.wait()
    asking = asyncio.create_task(sandbox.settled())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not asking.done()
    assert told == []

    freezer.go.set()
    assert await asking == Status.PAUSED
    assert told == ["paused"]
    await pausing


async def test_a_pause_that_failed_leaves_it_running_and_says_why(
    running: Running, freezer: SlowFreezer
) -> None:
    sandbox, _, _ = running
    freezer.go.set()
    freezer.error = "process 7 was not stopped"
    with pytest.raises(StatusError, match="process 7 was not stopped") as caught:
        await sandbox.pause(_never)
    assert caught.value.code == 2
    assert await sandbox.settled() == Status.RUNNING


async def test_a_resume_that_failed_leaves_it_paused(
    running: Running, freezer: SlowFreezer
) -> None:
    sandbox, _, _ = running
    freezer.go.set()
    await sandbox.pause(ignore)
    freezer.error = "stays frozen"
    with pytest.raises(StatusError, match="stays frozen"):
        await sandbox.resume(_never)
    assert await sandbox.settled() == Status.PAUSED


async def test_a_pause_of_who_dies_meanwhile_fails_and_is_undone(freezer: SlowFreezer) -> None:
    sandbox, ended, exits = await make(freezer, 2**22 + 1)  # Nobody can have this pid.
    await sandbox.start(ignore)
    freezer.go.set()
    with pytest.raises(StatusError, match="just exited"):
        await sandbox.pause(_never)
    assert freezer.thawed == 1
    ended.set_result(7)
    assert await sandbox.wait() == Exit(pid=2**22 + 1, exit_status=7, exited_at_ns=42)
    assert exits == [Exit(pid=2**22 + 1, exit_status=7, exited_at_ns=42)]
    assert await sandbox.settled() == Status.STOPPED


async def test_an_exit_waits_for_a_pause_that_is_going_on(
    running: Running, freezer: SlowFreezer
) -> None:
    sandbox, ended, exits = running
    pausing = asyncio.create_task(sandbox.pause(ignore))
    await freezer.begun.wait()
    ended.set_result(3)
    for _ in range(10):
        await asyncio.sleep(0)
    assert exits == []
    freezer.go.set()
    await pausing
    assert (await sandbox.wait()).exit_status == 3


@pytest.mark.parametrize("number", [0, 65, 4096])
async def test_a_signal_that_is_none(running: Running, number: int) -> None:
    sandbox, _, _ = running
    with pytest.raises(StatusError) as caught:
        await sandbox.kill(number, everyone=False)
    assert caught.value.code == 3


def _never() -> None:
    raise AssertionError("nothing happened that could be told")
