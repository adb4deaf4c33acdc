"""What no record owns of a sandbox, in whatever state it is: found by its traces, and removed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from cubelet.engine.ports import CallFailed
from cubelet.runtime.note import Note, write_note
from cubelet.runtime.places import cgroups_of
from tests.contract.runtime.rig import Rig, handle_of, is_container, processes, with_containers
from tests.contract.runtime.traces import (
    cleared,
    killed,
    place,
    the_trace,
    without_folder,
)


async def test_a_living_sandbox_is_told_with_the_record_beside_it(rig: Rig) -> None:
    record = await rig.created()
    trace = await the_trace(rig)
    assert trace.record == record
    program = "containerd-shim-runc-v2" if is_container(rig) else "python"
    first, *_, last = trace.what
    assert first.startswith(f"living shim, process {handle_of(record).shim_pid} ({program}")
    assert last == f"bundle {place(rig, record.id).bundle}"
    assert f"socket {handle_of(record).address.removeprefix('unix://')}" in trace.what
    if is_container(rig):
        group = f"{cgroups_of(rig.config.state_dir)}/{record.id}"
        assert f"control group {group} with 1 living processes" in trace.what
        assert f"mount {place(rig, record.id).bundle}/rootfs" in trace.what
        folder = rig.config.runc_root / record.namespace / record.id
        assert f"runc state {folder}" in trace.what


async def test_to_look_changes_nothing(rig: Rig) -> None:
    record = await rig.counting()
    await the_trace(rig)
    assert await rig.goes_on(record)
    await rig.runtime.pause(record)
    before = await the_trace(rig)
    assert await rig.stands_still(record)
    assert await the_trace(rig) == before


async def test_running(rig: Rig) -> None:
    await cleared(rig, await rig.counting())


async def test_paused(rig: Rig) -> None:
    record = await rig.counting()
    await rig.runtime.pause(record)
    await rig.runtime.close()
    await cleared(rig, record)


@pytest.mark.parametrize("paused", [False, True])
async def test_with_a_hung_shim(rig: Rig, *, paused: bool) -> None:
    record = await rig.counting()
    if paused:
        await rig.runtime.pause(record)
    os.kill(handle_of(record).shim_pid, signal.SIGSTOP)
    await cleared(rig, record)


@pytest.mark.parametrize("paused", [False, True])
async def test_with_a_dead_shim(rig: Rig, *, paused: bool) -> None:
    record = await rig.counting()
    if paused:
        await rig.runtime.pause(record)
    await killed(record)
    await cleared(rig, record)


@pytest.mark.parametrize("hung", [False, True])
async def test_whose_folder_was_removed_by_hand(rig: Rig, *, hung: bool) -> None:
    record = await rig.counting()
    if hung:
        os.kill(handle_of(record).shim_pid, signal.SIGSTOP)
    await without_folder(rig, record)
    assert (await the_trace(rig)).record is None
    await cleared(rig, record)


@with_containers
async def test_with_a_dead_shim_and_no_folder(rig: Rig) -> None:
    record = await rig.counting()
    await rig.runtime.pause(record)
    await killed(record)
    await without_folder(rig, record)
    await cleared(rig, record)


async def test_whose_note_cannot_be_read(rig: Rig) -> None:
    record = await rig.counting()
    place(rig, record.id).note.write_bytes(b"\x00not a note")
    assert (await the_trace(rig)).record is None
    await cleared(rig, record)


@pytest.mark.parametrize("lines", [0, 1, 3])
async def test_whose_create_was_cut_short(rig: Rig, lines: int) -> None:
    """The first steps of laying down, of which the agent's death has left so many."""
    record = rig.record()
    at = place(rig, record.id)
    first = at.upper if is_container(rig) else at.home
    steps: list[Callable[[], object]] = [
        lambda: write_note(at, Note.of(record)),
        first.mkdir,
        (at.bundle / "config.json").touch,
    ]
    at.bundle.mkdir(parents=True)
    for step in steps[:lines]:
        step()
    (trace,) = await rig.runtime.traces()
    assert trace.what == (f"bundle {at.bundle}",)
    await rig.runtime.clear(trace)
    assert await rig.runtime.traces() == []


async def test_what_cannot_be_removed_is_named(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    record = await rig.created()
    trace = await the_trace(rig)
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", _refuse)
        with pytest.raises(CallFailed, match=str(place(rig, record.id).bundle)):
            await rig.runtime.clear(trace)
    assert not any(process.alive for process in processes(handle_of(record)))
    await rig.runtime.clear(await the_trace(rig))


def _refuse(folder: Path) -> None:
    raise OSError(16, "busy", str(folder))
