"""The model of a disk: what a power cut may leave, and what it must."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.power import python_os, sqlite_os
from tests.power.disk import Cut, Disk, Image
from tests.power.images import Recorded, record
from tests.power.recorder import ROOT, Link, Op, Recorder, Rename, Resize, Sync, Unlink, Write
from tests.sim.dice import dice_of

SYNCED = (Link(ROOT, "a", 1), Write(1, 0, b"x" * 1024), Sync(1), Sync(ROOT))


def images(ops: Iterable[Op], cuts: Iterable[Cut] = Cut, count: int = 200) -> list[Image]:
    disk = Disk()
    for op in ops:
        disk.apply(op)
    return [disk.image(cut, dice_of(seed)) for cut in cuts for seed in range(count)]


def contents(ops: Iterable[Op], cuts: Iterable[Cut] = Cut) -> set[bytes | None]:
    return {image["a"] for image in images(ops, cuts)}


def test_what_was_synced_is_there() -> None:
    assert contents(SYNCED) == {b"x" * 1024}


def test_a_file_is_there_only_once_its_name_was_synced() -> None:
    ops = (Link(ROOT, "a", 1), Write(1, 0, b"x"), Sync(1))
    assert {"a" in image for image in images(ops)} == {True, False}
    assert all("a" not in image for image in images(ops, [Cut.LOST]))


def test_a_write_is_torn_between_sectors_only() -> None:
    ops = (*SYNCED, Write(1, 256, b"y" * 512))
    first, second = b"x" * 256 + b"y" * 256, b"y" * 256 + b"x" * 256
    assert contents(ops) == {
        b"x" * 1024,
        first + b"x" * 512,
        b"x" * 512 + second,
        first + second,
    }


def test_a_later_write_may_be_there_without_an_earlier_one() -> None:
    ops = (*SYNCED, Write(1, 0, b"1"), Write(1, 512, b"2"))
    ends = {(data[0:1], data[512:513]) for data in contents(ops) if data is not None}
    assert ends == {(b"x", b"x"), (b"1", b"x"), (b"x", b"2"), (b"1", b"2")}


def test_a_file_may_have_grown_without_what_was_written() -> None:
    ops = (*SYNCED, Write(1, 1024, b"y" * 512), Write(1, 1536, b"z"))
    found = contents(ops, [Cut.SCATTERED])
    assert b"x" * 1024 + bytes(512) + b"z" in found
    assert any(data and data[1024:1536].strip(b"\0yz") for data in found), "no rubbish"


def test_a_cut_file_may_be_as_long_as_before() -> None:
    ops = (*SYNCED, Resize(1, 100))
    assert contents(ops) == {b"x" * 1024, b"x" * 100}
    assert contents((*ops, Sync(1))) == {b"x" * 100}


def test_a_removed_name_may_come_back_until_it_was_synced() -> None:
    ops = (*SYNCED, Unlink(ROOT, "a"))
    assert {"a" in image for image in images(ops)} == {True, False}
    assert not any("a" in image for image in images((*ops, Sync(ROOT))))


def test_a_name_takes_anothers_place_in_one_change() -> None:
    ops = (*SYNCED, Link(ROOT, "b", 2), Sync(2), Sync(ROOT), Rename(ROOT, "b", ROOT, "a", 2))
    found = {(image["a"], image.get("b")) for image in images(ops)}
    assert found == {(b"x" * 1024, b""), (b"", None)}


@pytest.mark.parametrize("synced", [(), (ROOT,), (2,), (ROOT, 2)])
def test_no_file_is_lost_on_its_way_to_another_directory(synced: tuple[int, ...]) -> None:
    ops = (*SYNCED, Link(ROOT, "d", 2, is_dir=True), Sync(ROOT), Rename(ROOT, "a", 2, "b", 1))
    found = {
        ("a" in image, "d/b" in image) for image in images((*ops, *(Sync(one) for one in synced)))
    }
    both, moved = {(True, True), (False, True)}, {(False, True)}
    wanted = {(): {(True, False), *both}, (2,): both}
    assert found == wanted.get(synced, moved)


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return record(3, tmp_path_factory.mktemp("power") / "life", batches=12)


def test_a_life_has_every_kind_of_operation(life: Recorded) -> None:
    assert {type(op) for op in life.ops} == {Write, Resize, Sync, Link, Unlink, Rename}
    assert {step.synced for step in life.history.steps} == {True, False}
    assert len(life.history.backups) == 3
    assert life.history.damaged is not None


def test_the_same_seed_gives_the_same_life(life: Recorded, tmp_path: Path) -> None:
    again = record(3, tmp_path / "life", batches=12)
    assert [type(op) for op in again.ops] == [type(op) for op in life.ops]
    assert [step.done for step in again.history.steps] == [s.done for s in life.history.steps]


def test_what_python_does_is_seen(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    path = tmp_path.resolve() / "a"
    with python_os.watched(recorder), sqlite_os.watched(recorder):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.write(fd, b"abc")
        os.pwrite(fd, b"x", 1)
        os.fsync(fd)
        os.close(fd)
        (path.parent / "d").mkdir()
        path.rename(path.parent / "d" / "b")
    assert recorder.ops == [
        Link(ROOT, "a", 1),
        Write(1, 0, b"abc"),
        Write(1, 1, b"x"),
        Sync(1),
        Link(ROOT, "d", 2, is_dir=True),
        Rename(ROOT, "a", 2, "b", 1),
    ]


def test_what_cannot_be_watched_is_refused(tmp_path: Path) -> None:
    path = tmp_path.resolve() / "a"
    path.touch()
    with python_os.watched(Recorder(tmp_path)), pytest.raises(AssertionError, match="not watched"):
        os.truncate(path, 0)
