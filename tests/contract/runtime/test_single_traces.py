"""One thing alone that a sandbox has left, made for real: found, and removed."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from cubelet.runtime.cgroups import Cgroup
from cubelet.runtime.mounts import mounts_below, unmount_below
from cubelet.runtime.places import cgroups_of
from tests.contract.runtime.rig import Rig, handle_of, with_containers
from tests.contract.runtime.traces import (
    cleared,
    killed,
    make_group,
    mount,
    place,
    the_trace,
)


@with_containers
async def test_a_mount_alone(rig: Rig) -> None:
    point = place(rig, "left").bundle / "deep er"
    point.mkdir(parents=True)
    mount(point)
    trace = await the_trace(rig)
    assert trace.what == (f"mount {point}", f"bundle {place(rig, 'left').bundle}")
    await rig.runtime.clear(trace)
    assert mounts_below(rig.config.state_dir) == []
    assert await rig.runtime.traces() == []


@with_containers
async def test_a_disk_for_all_sandboxes_is_no_sandboxs_mount(rig: Rig) -> None:
    sandboxes = place(rig, "x").bundle.parent
    sandboxes.mkdir()
    mount(sandboxes)
    try:
        (sandboxes / "left").mkdir()
        trace = await the_trace(rig)
        assert trace.what == (f"bundle {sandboxes}/left",)
        await rig.runtime.clear(trace)
        assert (await rig.runtime.traces(), mounts_below(sandboxes)) == ([], [str(sandboxes)])
    finally:
        unmount_below(sandboxes)


@with_containers
@pytest.mark.parametrize("lives", [False, True])
async def test_a_control_group_alone(rig: Rig, *, lives: bool) -> None:
    group = Cgroup(f"{cgroups_of(rig.config.state_dir)}/left")
    folder = make_group(group.path)
    member = await asyncio.create_subprocess_exec("sleep", "1000")
    try:
        if lives:
            (folder / "cgroup.procs").write_text(str(member.pid))
        trace = await the_trace(rig)
        inside = "with 1 living processes" if lives else "without processes"
        assert trace.what == (f"control group {group.path} {inside}",)
        await rig.runtime.clear(trace)
        assert not group.exists
        if lives:
            assert await member.wait() == -signal.SIGKILL
    finally:
        if member.returncode is None:
            member.kill()
        await member.wait()
        assert await group.remove(5)


@with_containers
async def test_state_of_runc_alone(rig: Rig) -> None:
    folder = rig.config.runc_root / "anywhere" / "left"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text("{}")
    trace = await the_trace(rig)
    assert trace.what == (f"runc state {folder}",)
    await rig.runtime.clear(trace)
    assert not folder.exists()


async def test_a_socket_that_a_dead_shim_left(rig: Rig) -> None:
    record = await rig.created()
    await killed(record)
    socket = Path(handle_of(record).address.removeprefix("unix://"))
    assert f"socket {socket}" in (await the_trace(rig)).what
    await cleared(rig, record)  # Looks for the socket, too.


async def test_a_snapshot_alone(rig: Rig) -> None:
    folder = rig.config.snapshots_dir / "one"
    folder.mkdir(parents=True)
    (folder / "image").write_bytes(b"x" * 5000)
    (rig.config.snapshots_dir / ".attempts").mkdir()
    trace = await the_trace(rig)
    assert (trace.sandbox_id, trace.snapshot_id) == ("", "one")
    assert trace.what == (f"snapshot {folder}",)
    await rig.runtime.clear(trace)
    assert not folder.exists()
    assert list((rig.config.snapshots_dir / ".attempts").iterdir()) == []
    await rig.runtime.clear(trace)
