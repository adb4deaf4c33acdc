"""The fake shim's snapshots with faults and time in them, in virtual time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage

from shimclient.errors import Code, LocalDeadline, Refused, StatusError, Unimplemented
from shimclient.fake.images import load_image
from shimclient.fake.memory import Image, Memory, Mode
from shimclient.fake.protocol import (
    ROLLBACK_ACTION,
    ROLLBACK_CONFIG,
    UPDATE_ACTION,
    checkpoint_options,
    rollback_annotations,
    rollback_source,
)
from shimclient.task import Status
from tests.support.fakes import InLoopShim, in_loop_shim
from tests.support.virtual_time import in_virtual_time


def memory(shim: InLoopShim) -> Memory:
    """The true memory of task a."""
    return shim.service.tasks["a"].vm.memory


async def commit(
    shim: InLoopShim,
    folder: Path,
    mode: Mode = Mode.FULL,
    base: Path | None = None,
    *,
    generation: int | None = None,
    timeout_s: float = 1,
) -> Image:
    folder.mkdir(exist_ok=True)  # noqa: ASYNC240 - nobody else is in this loop.
    options = checkpoint_options(mode, base=base, generation=generation)
    await shim.task.checkpoint("a", str(folder), options=options, local_timeout_s=timeout_s)
    return load_image(folder)


async def roll_back(shim: InLoopShim, folder: Path, *, timeout_s: float = 1) -> None:
    await shim.task.update("a", annotations=rollback_annotations(folder), local_timeout_s=timeout_s)


@in_virtual_time
async def test_a_vm_writes_while_it_runs_and_only_then(tmp_path: Path) -> None:
    async with in_loop_shim(tmp_path, write_every="10ms") as shim:
        await shim.run("a")
        await asyncio.sleep(1)
        assert len(memory(shim).pages) == 100
        await shim.task.pause("a", local_timeout_s=1)
        paused = memory(shim).digest
        await asyncio.sleep(60)
        assert memory(shim).digest == paused
        await shim.task.resume("a", local_timeout_s=1)
        assert memory(shim).digest == paused
        await asyncio.sleep(0.055)
        assert len(memory(shim).pages) == 105


@in_virtual_time
async def test_a_chain_of_commits_upon_right_bases_is_true_to_each_moment(tmp_path: Path) -> None:
    async with in_loop_shim(tmp_path, write_every="10ms") as shim:
        await shim.run("a")
        await asyncio.sleep(1)
        mode, base = Mode.FULL, None
        for name in ("t1", "t2", "t3"):
            taken = await commit(shim, tmp_path / name, mode, base, generation=0)
            assert memory(shim).holds(taken)
            mode, base = Mode.SOFT_DIRTY, tmp_path / name
            await asyncio.sleep(0.1)
        await roll_back(shim, tmp_path / "t2")
        assert memory(shim).holds(load_image(tmp_path / "t2"))
        await asyncio.sleep(0.1)
        taken = await commit(shim, tmp_path / "t4", Mode.INCREMENTAL, tmp_path / "t2", generation=1)
        assert memory(shim).holds(taken)


@in_virtual_time
async def test_a_base_from_before_a_resume_gives_a_snapshot_that_is_false(tmp_path: Path) -> None:
    async with in_loop_shim(tmp_path, write_every="10ms") as shim:
        await shim.run("a")
        await commit(shim, tmp_path / "t1")
        await asyncio.sleep(1)
        await shim.task.pause("a", local_timeout_s=1)
        await shim.task.resume("a", local_timeout_s=1)
        taken = await commit(shim, tmp_path / "t2", Mode.SOFT_DIRTY, tmp_path / "t1")
        assert not memory(shim).holds(taken)
        assert memory(shim).holds(await commit(shim, tmp_path / "t3"))


@in_virtual_time
async def test_a_slow_checkpoint_holds_the_vm_and_is_of_its_end(tmp_path: Path) -> None:
    async with in_loop_shim(tmp_path, failpoints="checkpoint=1*late(31s)") as shim:
        await shim.run("a")
        with pytest.raises(LocalDeadline):
            await commit(shim, tmp_path / "t", timeout_s=30)
        assert list((tmp_path / "t").iterdir()) == []
        await shim.task.state("a", local_timeout_s=2)
        taken = load_image(tmp_path / "t")
        assert memory(shim).holds(taken)
        assert shim.topics()[-1] == "TaskCheckpointed"


@pytest.mark.parametrize("action", ["hang", "late(60s)", "lost"])
def test_a_rollback_can_hang_and_be_late_and_be_lost(tmp_path: Path, action: str) -> None:
    @in_virtual_time
    async def scenario() -> None:
        async with in_loop_shim(tmp_path, failpoints=f"update=1*{action}") as shim:
            await shim.run("a")
            await asyncio.sleep(1)
            await commit(shim, tmp_path / "t")
            with pytest.raises(LocalDeadline):
                await roll_back(shim, tmp_path / "t", timeout_s=30)
            assert memory(shim).generation == (1 if action == "lost" else 0)
            await asyncio.sleep(60)
            assert memory(shim).generation == (0 if action == "hang" else 1)

    scenario()


@in_virtual_time
async def test_an_error_after_the_effect_leaves_an_image_and_starts_the_tracking_again(
    tmp_path: Path,
) -> None:
    async with in_loop_shim(tmp_path, failpoints="checkpoint=1*error->1*error_after") as shim:
        await shim.run("a")
        await asyncio.sleep(1)
        before = set(memory(shim).since_snapshot.dirty)
        with pytest.raises(Refused):
            await commit(shim, tmp_path / "t")
        assert list((tmp_path / "t").iterdir()) == []
        assert memory(shim).since_snapshot.dirty == before != set()
        with pytest.raises(Refused):
            await commit(shim, tmp_path / "t")
        assert memory(shim).holds(load_image(tmp_path / "t"))
        assert memory(shim).since_snapshot.dirty == set()


@in_virtual_time
async def test_what_cannot_be_written_leaves_the_tracking_as_it_is(tmp_path: Path) -> None:
    async with in_loop_shim(tmp_path) as shim:
        await shim.run("a")
        await asyncio.sleep(1)
        with pytest.raises(Refused, match="No such file"):
            await shim.task.checkpoint("a", str(tmp_path / "no"), local_timeout_s=1)
        assert memory(shim).since_snapshot.dirty


@in_virtual_time
async def test_the_generation_is_compared_when_the_checkpoints_turn_has_come(
    tmp_path: Path,
) -> None:
    async with in_loop_shim(tmp_path, times={"update": "5s"}) as shim:
        await shim.run("a")
        await commit(shim, tmp_path / "t")
        back = asyncio.create_task(roll_back(shim, tmp_path / "t", timeout_s=10))
        await asyncio.sleep(1)
        with pytest.raises(Refused) as caught:
            await commit(
                shim, tmp_path / "u", Mode.SOFT_DIRTY, tmp_path / "t", generation=0, timeout_s=10
            )
        await back
        assert caught.value.code == Code.FAILED_PRECONDITION
        assert list((tmp_path / "u").iterdir()) == []


def test_a_new_process_of_the_shim_has_the_same_memory_and_tracking(tmp_path: Path) -> None:
    @in_virtual_time
    async def first() -> None:
        async with in_loop_shim(tmp_path, write_every="10ms") as shim:
            await shim.run("a")
            await asyncio.sleep(1)
            await commit(shim, tmp_path / "t1")
            await asyncio.sleep(0.5)
            await shim.task.pause("a", local_timeout_s=1)
            saved.append(memory(shim).saved())

    @in_virtual_time
    async def second() -> None:
        async with in_loop_shim(tmp_path, write_every="10ms") as shim:
            assert memory(shim).saved() == saved[0]
            await shim.task.resume("a", local_timeout_s=1)
            assert shim.service.tasks["a"].vm.generation == 1
            await asyncio.sleep(0.055)
            assert len(memory(shim).since_restore.dirty) == 5

    saved: list[object] = []
    first()
    second()


def test_a_new_process_of_the_shim_knows_of_a_rollback(tmp_path: Path) -> None:
    @in_virtual_time
    async def first() -> None:
        async with in_loop_shim(tmp_path, write_every="10ms") as shim:
            await shim.run("a")
            await asyncio.sleep(1)
            await commit(shim, tmp_path / "t")
            await asyncio.sleep(1)
            await roll_back(shim, tmp_path / "t")

    @in_virtual_time
    async def second() -> None:
        async with in_loop_shim(tmp_path, write_every="10ms") as shim:
            assert memory(shim).generation == 1
            assert memory(shim).holds(load_image(tmp_path / "t"))

    first()
    second()


@in_virtual_time
async def test_other_updates_and_other_options_are_refused(tmp_path: Path) -> None:
    async with in_loop_shim(tmp_path) as shim:
        await shim.run("a")
        with pytest.raises(Unimplemented):
            await shim.task.update("a", annotations={"x": "y"}, local_timeout_s=1)
        (tmp_path / "t").mkdir()
        for options in (
            AnyMessage(type_url="containerd.runc.v1.CheckpointOptions"),
            AnyMessage(type_url="shimclient.fake.v1.CheckpointOptions", value=b"\xff"),
            AnyMessage(type_url="shimclient.fake.v1.CheckpointOptions"),
        ):
            with pytest.raises(StatusError) as caught:
                await shim.task.checkpoint(
                    "a", str(tmp_path / "t"), options=options, local_timeout_s=1
                )
            assert caught.value.code == Code.INVALID_ARGUMENT
        with pytest.raises(StatusError) as caught:
            await shim.task.checkpoint("a", "t", local_timeout_s=1)
        assert caught.value.code == Code.INVALID_ARGUMENT
        assert (await shim.task.state("a", local_timeout_s=1)).status is Status.RUNNING


@pytest.mark.parametrize(
    "config", ["", "{", "[]", "{}", '{"source_url": "t"}', '{"source_url": 1}']
)
def test_a_restore_config_that_cannot_be_read_is_told(tmp_path: Path, config: str) -> None:
    annotations = {UPDATE_ACTION: ROLLBACK_ACTION, ROLLBACK_CONFIG: config}

    @in_virtual_time
    async def scenario() -> None:
        async with in_loop_shim(tmp_path) as shim:
            await shim.run("a")
            with pytest.raises(StatusError) as caught:
                await shim.task.update("a", annotations=annotations, local_timeout_s=1)
            assert caught.value.code == Code.INVALID_ARGUMENT

    scenario()


def test_a_folder_of_any_name_survives_its_url() -> None:
    folder = Path("/a b/ü%20#?")
    assert rollback_source(rollback_annotations(folder)) == folder
