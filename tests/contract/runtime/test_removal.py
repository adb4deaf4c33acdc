"""A removal leaves nothing, whatever state the sandbox, its shim or the agent is in."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from cubelet.core.faults import Reason
from cubelet.core.model import Record
from cubelet.engine.ports import CallFailed
from cubelet.runtime.cgroups import Cgroup
from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.kinds import SHIMV2
from cubelet.runtime.note import Note, write_note
from cubelet.runtime.places import cgroups_of, place_of
from tests.contract.runtime.rig import Rig, handle_of, processes, with_containers


async def removed(rig: Rig, record: Record) -> None:
    """Remove it; nothing is left, and to do it again is fine."""
    await rig.runtime.destroy(record)
    assert rig.leftovers(record) == []
    await rig.runtime.destroy(record)


async def test_running(rig: Rig) -> None:
    await removed(rig, await rig.counting())


async def test_paused(rig: Rig) -> None:
    record = await rig.counting()
    await rig.runtime.pause(record)
    await removed(rig, record)


async def test_ended(rig: Rig) -> None:
    record = await rig.created()
    os.kill(handle_of(record).pid, signal.SIGKILL)
    await rig.hinted(record, "/tasks/exit")
    await removed(rig, record)


@pytest.mark.parametrize("paused", [False, True])
async def test_with_a_hung_shim(rig: Rig, *, paused: bool) -> None:
    record = await rig.counting()
    if paused:
        await rig.runtime.pause(record)
    os.kill(handle_of(record).shim_pid, signal.SIGSTOP)
    await removed(rig, record)


@pytest.mark.parametrize("paused", [False, True])
async def test_with_a_dead_shim(rig: Rig, *, paused: bool) -> None:
    record = await rig.counting()
    if paused:
        await rig.runtime.pause(record)
    shim, _ = processes(handle_of(record))
    assert shim.kill()
    assert await shim.ended(5)
    await removed(rig, record)


async def test_while_a_call_hangs_in_the_shim(rig: Rig) -> None:
    record = await rig.counting()
    os.kill(handle_of(record).shim_pid, signal.SIGSTOP)
    pause = asyncio.create_task(rig.runtime.pause(record))
    await removed(rig, record)
    with pytest.raises(Exception, match="connection"):
        await pause


async def test_when_the_record_never_learnt_of_the_shim(rig: Rig) -> None:
    """The agent was killed between the start of the shim and the commit of its handle."""
    record = await rig.counting()
    await rig.runtime.close()
    after = rig.another()
    await after.destroy(replace(record, handle=None))
    assert rig.leftovers(record) == []


@pytest.mark.parametrize("hung", [False, True])
async def test_when_not_even_the_note_tells_of_the_shim(rig: Rig, *, hung: bool) -> None:
    record = await rig.counting()
    if hung:
        os.kill(handle_of(record).shim_pid, signal.SIGSTOP)
    write_note(place_of(rig.config.state_dir, record.id), Note(record.incarnation))
    await rig.runtime.destroy(replace(record, handle=None))
    assert rig.leftovers(record) == []


@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.25])
async def test_of_what_a_cancelled_create_had_made_so_far(rig: Rig, after_s: float) -> None:
    record = rig.record()
    create = asyncio.create_task(rig.runtime.create(record))
    await asyncio.wait({create}, timeout=after_s)
    create.cancel()
    await asyncio.wait({create})
    await rig.runtime.destroy(record)
    assert rig.leftovers(record) == []


async def test_of_what_never_was(rig: Rig) -> None:
    await rig.runtime.destroy(rig.record())


async def test_nobody_else_is_killed_where_a_pid_has_another_owner_by_now(rig: Rig) -> None:
    record = await rig.created()
    stranger = await asyncio.create_subprocess_exec("sleep", "1000")
    try:
        handle = handle_of(record)
        stale = replace(handle, pid=stranger.pid, pid_start_ticks=1)
        await rig.runtime.destroy(replace(record, handle=stale))
        assert stranger.returncode is None
        os.kill(stranger.pid, 0)
    finally:
        stranger.kill()
        await stranger.wait()


async def test_what_cannot_be_removed_is_named_and_removed_later(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await rig.created()
    bundle = place_of(rig.config.state_dir, record.id).bundle
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", _refuse)
        with pytest.raises(CallFailed, match=str(bundle)) as failure:
            await rig.runtime.destroy(record)
    assert failure.value.fault.retryable
    assert not any(process.alive for process in processes(handle_of(record)))
    await removed(rig, record)


def _refuse(folder: Path) -> None:
    raise OSError(errno.EBUSY, "busy", str(folder))


@pytest.mark.real
@pytest.mark.parametrize("paused", [False, True])
async def test_a_shim_binary_that_cannot_clean_up_is_done_without(
    tmp_path: Path, templates: Path, *, paused: bool
) -> None:
    binary = tmp_path / "shim"
    binary.write_text(
        '#!/bin/sh\nfor word in "$@"; do [ "$word" = delete ] && exit 1; done\n'
        'exec containerd-shim-runc-v2 "$@"\n'
    )
    binary.chmod(0o755)
    config = RuntimeConfig(
        state_dir=tmp_path / "state",
        templates_dir=templates,
        shim_binary=str(binary),
        ask_timeout_s=1.0,
    )
    rig = Rig(SHIMV2, config, template="mini")
    record = await rig.counting()
    if paused:
        await rig.runtime.pause(record)
    os.kill(handle_of(record).shim_pid, signal.SIGSTOP)
    await removed(rig, record)
    await rig.close()


@with_containers
async def test_a_control_group_with_strangers_in_it_is_left_alone(rig: Rig) -> None:
    record = rig.record()
    stranger = await asyncio.create_subprocess_exec("sleep", "1000")
    name = f"{cgroups_of(rig.config.state_dir)}/{record.id}"
    group = Path(f"/sys/fs/cgroup/pids{name}")
    join(group, stranger.pid)
    try:
        with pytest.raises(CallFailed) as failure:
            await rig.runtime.create(record)
        assert failure.value.fault.reason is Reason.SANDBOX_EXISTS
        await rig.runtime.destroy(record)  # As the engine undoes a create that failed.
        assert stranger.returncode is None
    finally:
        stranger.kill()
        await stranger.wait()
        assert await Cgroup(name).remove(5)


def join(group: Path, pid: int) -> None:
    """Make a control group and put a process into it."""
    group.mkdir(parents=True)
    (group / "cgroup.procs").write_text(str(pid))
