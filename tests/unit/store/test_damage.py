"""A damaged file is kept, a new one takes its place and says so; what is not ours is let alone."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cubelet.core.faults import Code, CubeletError
from cubelet.engine.ports import Loaded
from cubelet.store import damage, mark, replacement
from cubelet.store.sqlite import SqliteStore
from tests.contract.store.samples import change, record, snapshot
from tests.unit.store.files import open_store, spoil, stored

NAMES = [f"box-{number:02}" for number in range(50)]


async def loaded(path: Path, *, boot_id: str = "boot") -> Loaded:
    store = await SqliteStore.open(path, boot_id=boot_id, now_ns=17)
    try:
        return await store.load()
    finally:
        await store.close()


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()
    }


def change_bytes(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def from_the_second_page(data: bytes) -> bytes:
    page = int.from_bytes(data[16:18], "big")
    return data[:page] + b"\xa5" * (len(data) - page)


def with_mode(read: int, write: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:18] + bytes((write, read)) + data[20:]


#: What happened to the file, and what is said of it.
DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "emptied": (lambda _: b"", "it is empty"),
    "something else": (lambda _: b"rubbish" * 1000, "it is no database"),
    "cut in its header": (lambda data: data[:15], "it is no database"),
    "cut behind its header": (lambda data: data[:50], "malformed"),
    "cut in its first page": (lambda data: data[:1000], "malformed"),
    "cut in its midst": (lambda data: data[: len(data) // 2], "malformed"),
    "written over": (from_the_second_page, ""),
    "not to be read": (with_mode(3, 2), "mode"),
    "not to be written": (with_mode(2, 3), "mode"),
    "without a log": (with_mode(0, 2), "mode"),
    "a table's name": (lambda data: data.replace(b"sandboxes", b"sandbozes"), ""),
    "no text": (lambda data: data.replace(b"TABLE journal", b"TABLE jo\xffrnal"), ""),
}


@pytest.mark.parametrize("what", DAMAGES)
async def test_a_damaged_file_is_kept_and_a_new_one_says_so(path: Path, what: str) -> None:
    spoiling, why = DAMAGES[what]
    await stored(path, *NAMES)
    change_bytes(path, spoiling)
    damaged = files(path.parent)
    found = await loaded(path)
    kept = path.parent / "quarantine" / "19700101T000000Z"
    assert found.records == ()
    assert found.incomplete.startswith("the file was damaged: ")
    assert why in found.incomplete
    assert found.incomplete.endswith(f"it is kept in {kept}")
    assert files(kept) == damaged
    assert (await loaded(path)).incomplete == found.incomplete


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("DROP TABLE snapshots", "no table snapshots"),
        ("ALTER TABLE operations RENAME COLUMN op_id TO opid", "table operations has no op_id"),
        ("ALTER TABLE journal RENAME COLUMN hash TO hush", "table journal has no hash"),
        ("DELETE FROM meta WHERE key = 'format'", "its format is ''"),
        ("UPDATE meta SET value = '0' WHERE key = 'format'", "its format is '0'"),
        ("UPDATE meta SET value = 'r' WHERE key = 'format'", "its format is 'r'"),
        ("UPDATE meta SET value = '1' WHERE key = 'format'", "how it came to that"),
        ("UPDATE _sqlite_migrations SET name = 'm002_chaio' WHERE id = 2", "how it came to that"),
    ],
)
async def test_tables_that_are_not_as_they_were_made_are_damage(
    path: Path, statement: str, why: str
) -> None:
    await stored(path, "box")
    spoil(path, statement)
    found = await loaded(path)
    assert found.incomplete.startswith("the file was damaged: ")
    assert why in found.incomplete
    assert found.records == ()


INDEX_LEAF, TABLE_LEAF = 0x0A, 0x0D


def without_a_cell(kind: int) -> Callable[[bytes], bytes]:
    """Each page of that kind that names the first sandbox says of one cell less that it has it."""

    def spoil(data: bytes) -> bytes:
        pages = bytearray(data)
        for start in range(4096, len(data), 4096):
            page = data[start : start + 4096]
            if page[0] == kind and b"box-00" in page:
                count = int.from_bytes(page[3:5], "big") - 1
                pages[start + 3 : start + 5] = count.to_bytes(2, "big")
        assert pages != data
        return bytes(pages)

    return spoil


@pytest.mark.parametrize("kind", [INDEX_LEAF, TABLE_LEAF])
async def test_a_record_that_vanished_from_its_page_is_missed(path: Path, kind: int) -> None:
    await stored(path, *NAMES)
    change_bytes(path, without_a_cell(kind))
    found = await loaded(path)
    assert found.incomplete.startswith("the file was damaged: ")
    assert found.records == ()


async def test_an_anchor_that_is_none_is_damage_where_nothing_else_tells_the_end(
    path: Path,
) -> None:
    left = await killed_copy(path, "box")
    spoil(left, "DELETE FROM journal")
    spoil(left, "INSERT INTO meta VALUES ('anchor', 'nonsense')")
    assert "no anchor" in (await loaded(left)).incomplete


async def test_what_is_out_of_reach_is_not_taken_for_damaged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stored(path, "box")
    before = files(path.parent)
    problem = sqlite3.OperationalError("disk I/O error")
    problem.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ

    def fail(*_: object) -> str:
        raise problem

    monkeypatch.setattr(damage, "in_contents", fail)
    with pytest.raises(CubeletError, match="check the disk") as caught:
        await open_store(path)
    assert caught.value.fault.code is Code.UNAVAILABLE
    assert files(path.parent) == before


async def test_where_no_mark_can_be_the_agent_does_not_start(path: Path) -> None:
    await stored(path, "box")
    mark.path_of(path).mkdir()
    with pytest.raises(CubeletError, match="cannot open"):
        await open_store(path)
    mark.path_of(path).rmdir()
    assert (await loaded(path)).records == (record("box"),)


async def test_a_new_file_knows_of_no_past(path: Path) -> None:
    found = await loaded(path)
    assert found == Loaded(incomplete="there was no file")
    assert list(files(path.parent)) == ["store.db"]


async def test_a_log_without_its_file_is_kept(path: Path) -> None:
    log = path.with_name("store.db-wal")
    log.write_bytes(b"x" * 5000)
    found = await loaded(path)
    kept = path.parent / "quarantine" / "19700101T000000Z"
    assert found.incomplete == f"there was no file, only its write-ahead log; it is kept in {kept}"
    assert files(kept) == {"store.db-wal": b"x" * 5000}


async def test_what_is_damaged_twice_in_a_second_is_kept_twice(path: Path) -> None:
    for _ in range(3):
        await stored(path, "box")
        change_bytes(path, lambda _: b"rubbish")
        await loaded(path)
    kept = [one.name for one in (path.parent / "quarantine").iterdir()]
    assert sorted(kept) == ["19700101T000000Z", "19700101T000000Z-2", "19700101T000000Z-3"]


async def test_a_backup_beside_the_log_of_another_file_is_refused_and_not_touched(
    path: Path,
) -> None:
    running = await open_store(path)
    await running.commit(change("old"))
    copy = Path((await running.backup("copy")).path)
    await running.commit(change("new"))
    put_back = path.with_name("put-back")
    put_back.mkdir()
    shutil.copy(copy, put_back / "store.db")
    shutil.copy(f"{path}-wal", put_back / "store.db-wal")
    await running.close()
    before = files(put_back)
    with pytest.raises(CubeletError, match=r"store\.db-wal, the log of another file") as caught:
        await open_store(put_back / "store.db")
    assert caught.value.fault.code is Code.FAILED_PRECONDITION
    assert files(put_back) == before
    (put_back / "store.db-wal").unlink()
    found = await loaded(put_back / "store.db")
    assert found.records == (record("old"),)
    assert found.incomplete == "it was put in place from a backup"


class Killed(BaseException):
    pass


REPLACING = [
    "store.replace.begun",
    "store.replace.made",
    "store.replace.synced",
    "store.replace.decided",
    "store.replace.moved",
    "store.replace.kept",
    "store.replace.named",
    "store.replace.done",
]


@pytest.mark.parametrize("point", REPLACING)
@pytest.mark.parametrize("nth", [1, 2])
async def test_a_replacement_that_was_cut_short_is_carried_on(
    path: Path, monkeypatch: pytest.MonkeyPatch, point: str, nth: int
) -> None:
    """At each point, the process is gone; the next one finds the damage, or its replacement."""
    await stored(path, *NAMES)
    change_bytes(path, from_the_second_page)
    path.with_name("store.db-wal").touch()
    whole = files(path.parent)["store.db"]
    reached = 0

    def reach(name: str) -> None:
        nonlocal reached
        reached += name == point
        if name == point and reached == nth:
            raise Killed

    monkeypatch.setattr(replacement, "reach", reach)
    died = True
    try:
        replacement.replace(path, "the file was damaged: so", now_ns=17)
    except Killed:
        pass
    else:
        died = False
    assert died == (nth == 1 or point == "store.replace.moved")
    monkeypatch.undo()
    found = await loaded(path)
    kept = files(path.parent / "quarantine")
    assert found.records == ()
    assert found.incomplete.startswith("the file was damaged: ")
    assert kept["19700101T000000Z/store.db"] == whole
    assert sorted(kept) == ["19700101T000000Z/store.db", "19700101T000000Z/store.db-wal"]
    assert sorted(files(path.parent).keys() - {f"quarantine/{one}" for one in kept}) == ["store.db"]


async def killed_copy(path: Path, *names: str) -> Path:
    """What a kill -9 leaves of a store in which so much was written, some before a checkpoint."""
    running = await open_store(path)
    for name in names:
        await running.commit(change(name))
    left = path.with_name("killed")
    left.mkdir()
    for suffix in ("", "-wal", "-mark"):
        shutil.copy(f"{path}{suffix}", left / f"store.db{suffix}")
    await running.close()
    return left / "store.db"


async def test_a_kill_is_no_damage(path: Path) -> None:
    left = await killed_copy(path, *NAMES)
    found = await loaded(left)
    assert [one.id for one in found.records] == NAMES
    assert found.incomplete == "there was no file"
    assert [one.id for one in (await loaded(left)).records] == NAMES


def without_its_last_frame(log: bytes) -> bytes:
    return log[: -(24 + 4096)]


def flipped(offset: int) -> Callable[[bytes], bytes]:
    def flip(log: bytes) -> bytes:
        changed = bytearray(log)
        changed[offset] ^= 1
        return bytes(changed)

    return flip


LOG_DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": without_its_last_frame,
    "emptied": lambda _: b"",
    "header": flipped(9),
    "first frame": flipped(32 + 24 + 50),
    "in the midst": flipped(32 + 10 * (24 + 4096) + 3000),
    "last frame": flipped(-100),
}


@pytest.mark.parametrize("what", LOG_DAMAGES)
async def test_changes_that_a_damaged_log_lost_are_missed(path: Path, what: str) -> None:
    left = await killed_copy(path, *NAMES)
    change_bytes(left.with_name("store.db-wal"), LOG_DAMAGES[what])
    found = await loaded(left)
    assert "changes are lost" in found.incomplete
    assert "line 50 was written" in found.incomplete
    assert found.records == ()


async def test_a_log_that_was_removed_is_missed(path: Path) -> None:
    left = await killed_copy(path, *NAMES)
    left.with_name("store.db-wal").unlink()
    assert "changes are lost" in (await loaded(left)).incomplete


async def test_after_the_end_of_the_host_a_log_may_end_early(path: Path) -> None:
    """What was not synced is lost then, by right; the sandboxes have ended with it."""
    left = await killed_copy(path, *NAMES)
    change_bytes(left.with_name("store.db-wal"), without_its_last_frame)
    found = await loaded(left, boot_id="next")
    assert [one.id for one in found.records] == NAMES[:-1]
    assert "lost" not in found.incomplete


@pytest.mark.parametrize(
    "text", [b"", b"rubbish", b"\xff\xfe", b"boot 1 9 00000000\n", b"x" * 10_000]
)
async def test_a_mark_that_is_not_whole_says_nothing(path: Path, text: bytes) -> None:
    left = await killed_copy(path, "box")
    mark.path_of(left).write_bytes(text)
    assert (await loaded(left)).records == (record("box"),)


async def test_a_mark_is_whole_after_each_commit(path: Path) -> None:
    store = await open_store(path)
    for number in range(1, 4):
        await store.commit(change(revision=number))
        told = mark.read(path)
        assert told is not None
        assert told.seq == number
        assert told.opening.startswith("boot ")
    await store.close()
    assert mark.read(path) is None


async def test_a_mark_does_not_go_back_with_what_was_rolled_back(path: Path) -> None:
    store = await open_store(path)
    await store.commit(replace(change(), snapshots=(snapshot("taken"),)))
    with pytest.raises(CubeletError):
        await store.commit(replace(change(revision=2), snapshots=(snapshot("taken"),)))
    await store.probe()
    told = mark.read(path)
    assert told is not None
    assert told.seq == 1
    await store.close()


async def test_a_backup_in_the_place_of_its_store_is_no_damage(path: Path) -> None:
    left = await killed_copy(path, "box")
    running = await open_store(left)
    backup = (await running.backup("copy")).path
    await running.commit(change("box", revision=2))
    await running.writer.close()  # As if killed: the mark stays.
    shutil.copy(backup, left)
    found = await loaded(left)
    assert found.records == (record("box"),)
    assert found.incomplete == "it was put in place from a backup"
