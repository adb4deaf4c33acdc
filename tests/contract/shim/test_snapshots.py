"""Checkpoint, rollback and create from a snapshot, by the fake shim's process: over its wire."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shimclient.errors import Code, Refused, StatusError
from shimclient.fake.images import load_image, save_image
from shimclient.fake.memory import Image, Mode
from shimclient.fake.protocol import (
    SNAPSHOT_ANNOTATION,
    checkpoint_options,
    rollback_annotations,
    true_status,
)
from shimclient.task import CreateRequest, Status
from tests.support.labs import PATIENCE_S, FakeLab, ShimLab, shim_lab


@pytest.fixture
async def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ShimLab]:
    """A fake shim whose VMs write nothing by themselves: what they hold is what they were given."""
    monkeypatch.setenv("SHIM_FAKE_SCRIPT", '{"write_every": "0ms"}')
    async with shim_lab(FakeLab, tmp_path) as opened:
        yield opened


def snapshot(folder: Path, pages: dict[int, int]) -> Path:
    """A folder with an image of these pages."""
    folder.mkdir()
    save_image(folder, Image(pages))
    return folder


async def started_from(lab: ShimLab, folder: Path) -> None:
    """Run the lab's task from a snapshot."""
    config = {"annotations": {SNAPSHOT_ANNOTATION: str(folder)}}
    (lab.bundle / "config.json").write_text(json.dumps(config))
    await lab.run()


async def commit(
    lab: ShimLab, folder: Path, mode: Mode, *, base: Path | None = None, generation: int
) -> Image:
    """Checkpoint into a new folder; what was written there."""
    folder.mkdir()  # noqa: ASYNC240 - nobody else is in this loop.
    options = checkpoint_options(mode, base=base, generation=generation)
    await lab.task.checkpoint(lab.id, str(folder), options=options, local_timeout_s=PATIENCE_S)
    return load_image(folder)


async def digest(lab: ShimLab) -> str:
    return (await true_status(lab.client, lab.id, local_timeout_s=PATIENCE_S)).digest


async def generation(lab: ShimLab) -> int:
    return (await true_status(lab.client, lab.id, local_timeout_s=PATIENCE_S)).generation


async def roll_back(lab: ShimLab, folder: Path) -> None:
    annotations = rollback_annotations(folder)
    await lab.task.update(lab.id, annotations=annotations, local_timeout_s=PATIENCE_S)


async def test_a_task_starts_from_a_snapshot_and_a_checkpoint_of_it_is_the_same(
    lab: ShimLab, tmp_path: Path
) -> None:
    first = snapshot(tmp_path / "first", {1: 1, 2: 2})
    await started_from(lab, first)
    assert await digest(lab) == load_image(first).digest
    for mode in Mode:
        taken = await commit(lab, tmp_path / mode, mode, base=first, generation=0)
        assert taken.pages == {1: 1, 2: 2}
        assert [path.name for path in (tmp_path / mode).iterdir()] == ["memory.json"]
    assert (await lab.events_until("/tasks/checkpointed"))[-1].container_id == lab.id
    status = await lab.task.state(lab.id, local_timeout_s=PATIENCE_S)
    assert status.status is Status.RUNNING


async def test_a_resume_is_another_generation_upon_which_old_bases_are_refused(
    lab: ShimLab, tmp_path: Path
) -> None:
    first = snapshot(tmp_path / "first", {1: 1})
    await started_from(lab, first)
    before = await digest(lab)
    await lab.task.pause(lab.id, local_timeout_s=PATIENCE_S)
    await lab.task.resume(lab.id, local_timeout_s=PATIENCE_S)
    assert (await digest(lab), await generation(lab)) == (before, 1)
    with pytest.raises(Refused) as caught:
        await commit(lab, tmp_path / "a", Mode.SOFT_DIRTY, base=first, generation=0)
    assert caught.value.code == Code.FAILED_PRECONDITION
    assert list((tmp_path / "a").iterdir()) == []
    taken = await commit(lab, tmp_path / "b", Mode.FULL, generation=1)
    assert (taken.pages, taken.generation) == ({1: 1}, 1)


async def test_a_rollback_puts_the_memory_back_as_another_generation(
    lab: ShimLab, tmp_path: Path
) -> None:
    await started_from(lab, snapshot(tmp_path / "first", {1: 1, 2: 2}))
    other = snapshot(tmp_path / "the other, 100%", {2: 7, 3: 8})
    await roll_back(lab, other)
    assert (await digest(lab), await generation(lab)) == (load_image(other).digest, 1)
    status = await lab.task.state(lab.id, local_timeout_s=PATIENCE_S)
    assert status.status is Status.RUNNING
    for mode in Mode:
        taken = await commit(lab, tmp_path / mode, mode, base=other, generation=1)
        assert taken.pages == {2: 7, 3: 8}


async def test_upon_a_wrong_base_the_shim_writes_a_memory_that_never_was(
    lab: ShimLab, tmp_path: Path
) -> None:
    await started_from(lab, snapshot(tmp_path / "first", {1: 1}))
    wrong = snapshot(tmp_path / "wrong", {1: 9})
    taken = await commit(lab, tmp_path / "t", Mode.SOFT_DIRTY, base=wrong, generation=0)
    assert taken.pages == {1: 9}
    assert taken.digest != await digest(lab)


async def test_only_what_runs_is_checkpointed_or_rolled_back(lab: ShimLab, tmp_path: Path) -> None:
    first = snapshot(tmp_path / "first", {1: 1})
    await started_from(lab, first)
    await lab.task.pause(lab.id, local_timeout_s=PATIENCE_S)
    with pytest.raises(Refused) as caught:
        await commit(lab, tmp_path / "t", Mode.FULL, generation=0)
    assert caught.value.code == Code.UNKNOWN
    with pytest.raises(Refused) as caught:
        await roll_back(lab, first)
    assert caught.value.code == Code.UNKNOWN
    assert await generation(lab) == 0


async def test_what_cannot_be_read_is_code_3_and_changes_nothing(
    lab: ShimLab, tmp_path: Path
) -> None:
    first = snapshot(tmp_path / "first", {1: 1})
    await started_from(lab, first)
    broken = snapshot(tmp_path / "broken", {})
    (broken / "memory.json").write_text('{"pages": []}')
    before = await digest(lab)
    for folder in (tmp_path / "nothing", broken):
        with pytest.raises(StatusError, match=folder.name) as caught:
            await roll_back(lab, folder)
        assert caught.value.code == Code.INVALID_ARGUMENT
    with pytest.raises(StatusError) as caught:
        await commit(lab, tmp_path / "t", Mode.SOFT_DIRTY, generation=0)
    assert caught.value.code == Code.INVALID_ARGUMENT
    other = CreateRequest(id="other", bundle=str(tmp_path / "bundle"))
    (tmp_path / "bundle").mkdir()
    annotations = {SNAPSHOT_ANNOTATION: str(tmp_path / "nothing")}
    (tmp_path / "bundle" / "config.json").write_text(json.dumps({"annotations": annotations}))
    with pytest.raises(StatusError) as caught:
        await lab.task.create(other, local_timeout_s=PATIENCE_S)
    assert caught.value.code == Code.INVALID_ARGUMENT
    assert (await digest(lab), await generation(lab)) == (before, 0)
