"""Where our groups belong, and the freezer on a group made of plain files."""

from __future__ import annotations

from pathlib import Path

import pytest

from cubelet.shims.process.cgroups import (
    Hierarchy,
    hierarchies,
    make_group,
    pids_of,
    remove_group,
)
from cubelet.shims.process.errors import CgroupBusy, FreezeFailed
from cubelet.shims.process.freeze_cgroup import V1, V2, CgroupFreezer, Dialect
from cubelet.shims.process.identity import Identity
from cubelet.shims.process.tree import Process, Walk

_EMPTY = Walk((), whole=True)


def proc_with(folder: Path, *, mounts: str, groups: str) -> Path:
    (folder / "self").mkdir()
    (folder / "self/mountinfo").write_text(mounts)
    (folder / "self/cgroup").write_text(groups)
    return folder


def test_the_own_group_is_found_in_every_mounted_tree(tmp_path: Path) -> None:
    proc = proc_with(
        tmp_path,
        mounts=(
            "22 1 8:1 / / rw shared:1 - ext4 /dev/sda rw\n"
            "30 22 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
            "31 22 0:27 / /sys/fs/cgroup/freezer rw shared:9 - cgroup cgroup rw,freezer\n"
            "32 22 0:28 /box /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
        ),
        groups="6:freezer:/a/b\n5:cpu,cpuacct:/box/inner\n4:name=systemd:/s\n0::/u\n",
    )
    assert hierarchies(proc=proc) == [
        Hierarchy(2, frozenset(), Path("/sys/fs/cgroup/unified/u")),
        Hierarchy(1, frozenset({"freezer"}), Path("/sys/fs/cgroup/freezer/a/b")),
        Hierarchy(1, frozenset({"cpu", "cpuacct"}), Path("/sys/fs/cgroup/cpu/inner")),
    ]


def test_no_trees_no_groups(tmp_path: Path) -> None:
    assert hierarchies(proc=proc_with(tmp_path, mounts="", groups="")) == []


def test_a_group_with_others_in_it_is_not_taken_over(tmp_path: Path) -> None:
    group = tmp_path / "parent" / "group"
    make_group(group, owner=1)
    (group / "cgroup.procs").write_text("1\n2\n")
    with pytest.raises(CgroupBusy, match="has 1 processes"):
        make_group(group, owner=1)


async def test_a_removed_group_takes_its_empty_parent_along(tmp_path: Path) -> None:
    first, second = tmp_path / "parent" / "first", tmp_path / "parent" / "second"
    first.mkdir(parents=True)
    second.mkdir()
    assert await remove_group(first)
    assert second.exists()
    assert await remove_group(second)
    assert not second.parent.exists()
    assert await remove_group(second), "a second time does no harm"
    assert pids_of(second) == frozenset()


def group_with(folder: Path, dialect: Dialect, *, shown: str, pids: str = "") -> Path:
    (folder / dialect.control).write_text("")
    (folder / dialect.witness).write_text(f"populated 1\n{shown}\n")
    (folder / "cgroup.procs").write_text(pids)
    return folder


async def test_frozen_is_what_the_kernel_shows_not_what_we_wrote(tmp_path: Path) -> None:
    group = group_with(tmp_path, V2, shown="frozen 0")
    looked = Walk((Process(Identity(7, 1), None, "D"),), whole=True)
    freezer = CgroupFreezer(group, V2, root=1, look=lambda _: looked)
    with pytest.raises(FreezeFailed, match=r"was not frozen within 0 s; processes: 7 \(D\)"):
        await freezer.freeze(within_s=0)
    assert (group / V2.control).read_text() == V2.thaw, "it was let go again"


async def test_frozen_with_a_process_outside_is_not_frozen(tmp_path: Path) -> None:
    group = group_with(tmp_path, V1, shown="", pids="7\n")

    def strays(_: int) -> Walk:
        return Walk(
            (Process(Identity(7, 1), None, "D"), Process(Identity(8, 1), None, "S")), whole=True
        )

    with pytest.raises(FreezeFailed, match="process 8 was not stopped: it has left cgroup"):
        await CgroupFreezer(group, V1, root=1, look=strays).freeze()
    assert (group / V1.control).read_text() == V1.thaw


async def test_thawing_a_group_that_has_gone_is_fine(tmp_path: Path) -> None:
    freezer = CgroupFreezer(tmp_path / "gone", V2, root=1, look=lambda _: _EMPTY)
    await freezer.thaw()
    assert freezer.groups == (tmp_path / "gone",)
