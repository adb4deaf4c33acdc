"""On folders that look like the kernel's; the contract suite has the real ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cubelet.runtime.cgroups import Cgroup, cgroup_version


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    for controller in ("freezer", "memory", "pids"):
        (tmp_path / controller / "cubelet/sb").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def v2(tmp_path: Path) -> Path:
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")
    (tmp_path / "cubelet/sb/inner").mkdir(parents=True)
    return tmp_path


@pytest.fixture
async def sleeper() -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec("sleep", "1000")
    yield process
    if process.returncode is None:
        process.kill()
    await process.wait()


def test_the_version_is_that_of_the_mounted_tree(v1: Path) -> None:
    assert cgroup_version(v1) == 1
    (v1 / "cgroup.controllers").touch()
    assert cgroup_version(v1) == 2


def test_processes_of_all_hierarchies_and_of_groups_within(v1: Path) -> None:
    (v1 / "freezer/cubelet/sb/cgroup.procs").write_text("11\n12\n")
    (v1 / "memory/cubelet/sb/within").mkdir()
    (v1 / "memory/cubelet/sb/within/cgroup.procs").write_text("13\n")
    (v1 / "memory/cubelet/cgroup.procs").write_text("14\n")
    assert Cgroup("/cubelet/sb", v1).pids() == {11, 12, 13}


def test_no_group_has_no_processes(v1: Path) -> None:
    assert Cgroup("/cubelet/other", v1).pids() == set()


@pytest.mark.parametrize(
    ("said", "frozen"), [("FROZEN", True), ("THAWED", False), ("FREEZING", None)]
)
def test_version_1_tells_of_a_freeze(v1: Path, said: str, *, frozen: bool | None) -> None:
    group = v1 / "freezer" / "cubelet" / "frosty"
    other = v1 / "unified" / "cubelet" / "frosty"
    for folder in (group, other):
        folder.mkdir(parents=True)
    (group / "freezer.state").write_text(f"{said}\n")
    (other / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    assert Cgroup("/cubelet/frosty", v1).frozen is frozen


@pytest.mark.parametrize(("said", "frozen"), [("1", True), ("0", False)])
def test_version_2_tells_of_a_freeze(v2: Path, said: str, *, frozen: bool) -> None:
    group = v2 / "cubelet" / "frosty"
    group.mkdir(parents=True)
    (group / "cgroup.events").write_text(f"populated 1\nfrozen {said}\n")
    assert Cgroup("/cubelet/frosty", v2).frozen is frozen


def test_a_group_that_is_not_there_tells_nothing(v1: Path) -> None:
    assert Cgroup("/cubelet/nobody", v1).frozen is None


async def test_a_removal_takes_all_of_it_and_its_parent_stays(v1: Path) -> None:
    assert await Cgroup("/cubelet/sb", v1).remove(1)
    assert (v1 / "memory/cubelet").exists()
    assert not Cgroup("/cubelet/sb", v1).exists


async def test_groups_within_go_first(v2: Path) -> None:
    assert await Cgroup("/cubelet/sb", v2).remove(1)
    assert not (v2 / "cubelet/sb").exists()


async def test_a_group_that_stays_in_use_is_reported(v1: Path) -> None:
    (v1 / "pids/cubelet/sb/busy").touch()
    assert not await Cgroup("/cubelet/sb", v1).remove(0.05)
    assert Cgroup("/cubelet/sb", v1).exists


@pytest.mark.parametrize(
    ("tree", "name", "frozen", "thawed"),
    [
        ("v1", "freezer/cubelet/sb/freezer.state", "FROZEN", "THAWED"),
        ("v2", "cubelet/sb/cgroup.freeze", "1", "0"),
    ],
)
async def test_what_is_in_it_is_killed_and_thawed(
    request: pytest.FixtureRequest,
    sleeper: asyncio.subprocess.Process,
    tree: str,
    name: str,
    frozen: str,
    thawed: str,
) -> None:
    mounted_at: Path = request.getfixturevalue(tree)
    control = mounted_at / name
    control.write_text(frozen)
    procs = control.with_name("cgroup.procs")
    procs.write_text(f"{sleeper.pid}\n")
    killing = asyncio.create_task(Cgroup("/cubelet/sb", mounted_at).kill(5))
    await sleeper.wait()
    procs.write_text("")  # As the kernel does.
    assert await killing
    assert control.read_text() == thawed


async def test_what_does_not_die_is_reported(v1: Path) -> None:
    (v1 / "freezer/cubelet/sb/cgroup.procs").write_text(f"{1 << 24}\n")
    assert not await Cgroup("/cubelet/sb", v1).kill(0.05)


def test_the_groups_below_are_told_of_any_hierarchy(v1: Path) -> None:
    (v1 / "pids/cubelet/late").mkdir()
    assert Cgroup("/cubelet", v1).below() == {"sb", "late"}
    assert Cgroup("/nothing", v1).below() == set()


def test_a_common_group_goes_where_it_is_empty_and_stays_where_it_is_not(v1: Path) -> None:
    (v1 / "pids/empty").mkdir()
    Cgroup("/empty", v1).drop()
    assert not (v1 / "pids/empty").exists()
    Cgroup("/cubelet", v1).drop()
    assert (v1 / "freezer/cubelet/sb").is_dir()


def test_processes_are_counted_in_one_hierarchy(v1: Path) -> None:
    (v1 / "freezer/cubelet/sb/cgroup.procs").write_text("")
    (v1 / "memory/cubelet/sb/cgroup.procs").write_text("11\n12\n")
    (v1 / "pids/cubelet/sb/cgroup.procs").write_text("11\n12\n")
    assert Cgroup("/cubelet/sb", v1).count() == 2
    assert Cgroup("/cubelet/other", v1).count() == 0
