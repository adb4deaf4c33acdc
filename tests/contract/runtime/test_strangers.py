"""What is not ours is never told of, and never touched, however much it looks like ours."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from cubelet.engine.ports import Trace
from cubelet.runtime.cgroups import Cgroup
from cubelet.runtime.kinds import PROCESS, SHIMV2
from cubelet.runtime.launch import containerd_address
from cubelet.runtime.note import Note, handle_at, write_note
from cubelet.runtime.places import cgroups_of
from tests.contract.runtime.rig import Rig, handle_of, with_containers
from tests.contract.runtime.traces import (
    make_group,
    place,
    stranger,
    the_trace,
)


@asynccontextmanager
async def neighbour(rig: Rig, tmp_path: Path) -> AsyncIterator[Rig]:
    """Another agent's runtime on this host, whose state directory is beside ours."""
    beside = tmp_path / "neighbour"
    config = replace(rig.config, state_dir=beside)
    other = Rig(rig.kind, config, template=rig.template)
    async with other.listening():
        yield other
        await other.close()


async def test_another_agents_sandbox_of_the_same_id_is_left_alone(
    rig: Rig, tmp_path: Path
) -> None:
    async with neighbour(rig, tmp_path) as other:
        theirs = await other.counting()
        assert await rig.runtime.traces() == []
        ours = replace(rig.record(), id=theirs.id)
        rig.records[-1] = ours
        if rig.kind == PROCESS:  # Its control groups are told apart by id alone.
            place(rig, ours.id).bundle.mkdir(parents=True)
        else:
            await rig.runtime.create(ours)
        await rig.runtime.clear(await the_trace(rig))
        assert await rig.runtime.traces() == []
        assert await other.goes_on(theirs)
        (seen,) = await other.runtime.traces()
        assert seen.record == theirs


async def test_what_a_file_says_leads_to_no_strangers_shim(rig: Rig, tmp_path: Path) -> None:
    """A folder that was copied from another agent's, or damaged."""
    async with neighbour(rig, tmp_path) as other:
        theirs = await other.counting()
        at = place(rig, theirs.id)
        at.bundle.mkdir(parents=True)
        address = handle_of(theirs).address
        (at.bundle / "address").write_text(address)
        write_note(at, Note.of(theirs, replace(handle_of(theirs), address=address)))
        await rig.runtime.clear(await the_trace(rig))
        assert await rig.runtime.traces() == []
        assert await other.goes_on(theirs)
        assert (await rig.runtime.state(replace(theirs, handle=handle_at(address, 2)))) is not None


async def test_people_and_programs_in_our_folders_are_no_part_of_a_sandbox(rig: Rig) -> None:
    """Each lacks one thing: the flags, the folder, the very folder, the task, or our address."""
    bundle = place(rig, "left").bundle
    (bundle / "below").mkdir(parents=True)
    address = containerd_address(rig.config)
    flags = ("-namespace", "default", "-id", "left", "-address", address)
    program = ("sh", "-c", "sleep 1000; :", "sh")
    strangers = [
        await stranger(*program, "left", cwd=bundle),
        await stranger(*program, *flags, cwd=Path("/")),
        await stranger(*program, *flags, cwd=bundle / "below"),
        await stranger(*program, *flags, "delete", cwd=bundle),
        await stranger(*program, *flags[:-1], "/run/containerd/containerd.sock", cwd=bundle),
    ]
    try:
        trace = await the_trace(rig)
        assert trace.what == (f"bundle {bundle}",)
        await rig.runtime.clear(trace)
        assert not bundle.exists()
        assert [one.returncode for one in strangers] == [None] * 5
        assert await rig.runtime.traces() == []
    finally:
        for one in strangers:
            os.killpg(one.pid, signal.SIGKILL)
            await one.wait()


async def test_what_has_no_id_for_a_name_is_not_ours(rig: Rig, tmp_path: Path) -> None:
    sandboxes = place(rig, "x").bundle.parent
    (sandboxes / "lost+found").mkdir(parents=True)
    (sandboxes / "notes").write_text("mine")
    (tmp_path / "elsewhere").mkdir()
    (sandboxes / "link").symlink_to(tmp_path / "elsewhere")
    rig.config.snapshots_dir.mkdir()
    (rig.config.snapshots_dir / ".attempts").mkdir()
    assert await rig.runtime.traces() == []


@with_containers
async def test_other_control_groups_are_not_ours(rig: Rig, tmp_path: Path) -> None:
    groups = [Cgroup("/cubelet/left"), Cgroup(f"{cgroups_of(tmp_path / 'other')}/left")]
    for group in groups:
        make_group(group.path)
    try:
        assert await rig.runtime.traces() == []
        await rig.runtime.clear(Trace(sandbox_id="left", runtime=SHIMV2, what=()))
        assert all(group.exists for group in groups)
    finally:
        for group in groups:
            assert await group.remove(5)
        Cgroup(cgroups_of(tmp_path / "other")).drop()
