"""Shim and kernel disagree: nobody is believed, and a heal past the shim puts them in agreement."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from cubelet.core.evidence import Contradicted, Status
from cubelet.core.faults import Code, Reason
from cubelet.core.model import Call, Record
from cubelet.engine.ports import CallFailed
from cubelet.runtime import heal as heal_module
from cubelet.runtime.identity import identify
from tests.contract.runtime.rig import (
    Rig,
    alive,
    freezer_file,
    freezer_state,
    handle_of,
    is_container,
    state,
    with_containers,
)
from tests.support.polling import eventually
from tests.support.runc_wrapper import RuncWrapper

#: How long a runc lingers that is killed meanwhile.
LINGER_S = 60


def contradicted(record: Record, says: Status, *, frozen: bool) -> Contradicted:
    return Contradicted(says=says, frozen=frozen, pid=handle_of(record).pid)


async def killed_after_its_work(rig: Rig, runc: RuncWrapper, command: str, record: Record) -> None:
    """The shim's runc does its work and is killed before it can say so."""
    runc.linger(command, record.id, LINGER_S)
    call = asyncio.create_task(getattr(rig.runtime, command)(record))
    await eventually(lambda: runc.has_begun(command, record.id), what=f"runc {command} is done")
    os.kill(runc.pid(command, record.id), signal.SIGKILL)
    with pytest.raises(CallFailed) as failure:
        await call
    assert failure.value.call is Call.ANSWERED
    runc.no_linger(command, record.id)


@pytest.mark.real
async def test_after_a_freeze_that_the_shim_does_not_know_of_it_is_thawed(
    slow_rig: Rig, runc: RuncWrapper
) -> None:
    record = await slow_rig.counting()
    await killed_after_its_work(slow_rig, runc, "pause", record)
    assert await state(slow_rig.runtime, record) == contradicted(
        record, Status.RUNNING, frozen=True
    )
    for refused in (slow_rig.runtime.pause, slow_rig.runtime.resume):
        with pytest.raises(CallFailed):
            await refused(record)
    await slow_rig.runtime.heal(record, frozen=False)
    assert await state(slow_rig.runtime, record) == alive(slow_rig, record, Status.RUNNING)
    assert await slow_rig.goes_on(record)
    await slow_rig.runtime.pause(record)
    assert await slow_rig.stands_still(record)


@pytest.mark.real
async def test_after_a_thaw_that_the_shim_does_not_know_of_it_is_frozen_again(
    slow_rig: Rig, runc: RuncWrapper
) -> None:
    record = await slow_rig.counting()
    await slow_rig.runtime.pause(record)
    await killed_after_its_work(slow_rig, runc, "resume", record)
    assert await state(slow_rig.runtime, record) == contradicted(
        record, Status.PAUSED, frozen=False
    )
    await slow_rig.runtime.heal(record, frozen=True)
    assert await state(slow_rig.runtime, record) == alive(slow_rig, record, Status.PAUSED)
    assert await slow_rig.stands_still(record)
    await slow_rig.runtime.resume(record)
    assert await slow_rig.goes_on(record)


@with_containers
async def test_a_freeze_behind_the_agents_back_is_seen_and_undone(rig: Rig) -> None:
    record = await rig.counting()
    await behind_its_back(rig, "pause", record)
    assert await state(rig.runtime, record) == contradicted(record, Status.RUNNING, frozen=True)
    await rig.runtime.heal(record, frozen=False)
    assert freezer_state(rig, record) == "THAWED"
    await rig.runtime.pause(record)
    await behind_its_back(rig, "resume", record)
    assert await state(rig.runtime, record) == contradicted(record, Status.PAUSED, frozen=False)
    await rig.runtime.heal(record, frozen=True)
    assert await state(rig.runtime, record) == alive(rig, record, Status.PAUSED)


async def behind_its_back(rig: Rig, command: str, record: Record) -> None:
    """What an operator at the host's console can do."""
    root = rig.config.runc_root / record.namespace
    runc = await asyncio.create_subprocess_exec("runc", "--root", root, command, record.id)
    assert await runc.wait() == 0


def freezes(rig: Rig, record: Record) -> bool:
    """One try, as runc makes them: who is caught while it makes a process must be let go first."""
    if freezer_state(rig, record) == "FROZEN":
        return True
    for order in ("THAWED", "FROZEN"):
        freezer_file(rig, record).write_text(order)
    return False


@with_containers
async def test_a_heal_of_what_is_well_runs_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await rig.counting()
    monkeypatch.setattr(asyncio, "create_subprocess_exec", None)
    await rig.runtime.heal(record, frozen=False)
    await eventually(lambda: freezes(rig, record), what="frozen")
    await rig.runtime.heal(record, frozen=True)
    assert freezer_state(rig, record) == "FROZEN"
    freezer_file(rig, record).write_text("THAWED")


@pytest.mark.real
async def test_a_runc_that_hangs_is_killed_with_all_of_its_children(
    slow_rig: Rig, runc: RuncWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await slow_rig.counting()
    monkeypatch.setattr(heal_module, "_RUNC_TIMEOUT_S", 0.3)
    runc.delay("pause", record.id, 1000)
    with pytest.raises(CallFailed, match="no end of runc pause within") as failure:
        await slow_rig.runtime.heal(record, frozen=True)
    assert failure.value.fault.code is Code.ABORTED
    assert freezer_state(slow_rig, record) == "THAWED"
    group = runc.pid("pause", record.id)
    await eventually(lambda: not _lives(group), what="the wrapper and its sleep have ended")


def _lives(group: int) -> bool:
    """Whether a process group has a process in it that is not only to be reaped."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state_, _, pgrp, *_ = stat.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if int(pgrp) == group and state_ != "Z":
            return True
    return False


@pytest.mark.real
async def test_what_runc_says_of_its_failure_is_told(slow_rig: Rig, runc: RuncWrapper) -> None:
    record = await slow_rig.counting()
    runc.path.write_text('#!/bin/sh\necho "no luck\ntoday" >&2\nexit 1\n')
    with pytest.raises(CallFailed, match="could not be frozen: no luck today") as failure:
        await slow_rig.runtime.heal(record, frozen=True)
    assert failure.value.fault.reason is Reason.RUNTIME_REFUSED
    assert failure.value.call is Call.ANSWERED


@with_containers
async def test_nothing_is_healed_of_a_sandbox_that_is_another_or_gone(rig: Rig) -> None:
    record = await rig.counting()
    handle = handle_of(record)
    us = identify(os.getpid())
    assert us is not None
    others = (
        replace(handle, pid=us.pid, pid_start_ticks=us.start_ticks),
        replace(handle, pid_start_ticks=handle.pid_start_ticks - 1),
    )
    for other in others:
        with pytest.raises(CallFailed) as failure:
            await rig.runtime.heal(replace(record, handle=other), frozen=True)
        assert failure.value.fault.reason is Reason.NOT_RUNNING
    assert freezer_state(rig, record) == "THAWED"
    await rig.runtime.destroy(record)
    with pytest.raises(CallFailed):
        await rig.runtime.heal(record, frozen=True)


async def test_only_containers_can_be_healed(rig: Rig) -> None:
    capabilities = rig.runtime.capabilities
    assert capabilities.heals is capabilities.second_witness is is_container(rig)
    if is_container(rig):
        return
    record = await rig.counting()
    with pytest.raises(CallFailed) as failure:
        await rig.runtime.heal(record, frozen=True)
    assert failure.value.fault.code is Code.FAILED_PRECONDITION
    assert failure.value.fault.reason is Reason.HEAL_UNSUPPORTED
    assert failure.value.call is Call.ANSWERED
    assert await rig.goes_on(record)
