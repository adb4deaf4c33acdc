"""What only the store on disk promises: durability, and clear words about a bad file."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cubelet.core.faults import Code, CubeletError, Fault, Reason
from cubelet.engine.ports import Change
from cubelet.store.sqlite import SqliteStore
from tests.contract.store.samples import change, entry, outcome, record, snapshot
from tests.unit.store.files import open_store, spoil, stored

ROOT = Path(__file__).resolve().parents[3]


async def refusal(path: Path) -> Fault:
    with pytest.raises(CubeletError) as caught:
        await open_store(path)
    assert caught.value.fault.reason is Reason.STORE_FAILED
    assert str(path) in caught.value.fault.message
    return caught.value.fault


def contents(path: Path) -> bytes:
    return path.read_bytes()


def overwrite(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def files(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.iterdir())


async def test_every_commit_is_synced_to_a_write_ahead_log(path: Path) -> None:
    store = await open_store(path)

    def pragmas(conn: sqlite3.Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "locking_mode")
        return [conn.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await store.writer.read(pragmas) == ["wal", 2, "exclusive"]
    await store.close()


async def test_the_file_is_for_its_owner_only(path: Path) -> None:
    store = await open_store(path)
    await store.commit(change())
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-mark": 0o600}
    await store.close()


async def test_a_clean_close_leaves_one_whole_file(path: Path) -> None:
    await stored(path, "box")
    assert files(path) == ["store.db"]
    conn = sqlite3.connect(path)
    assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert conn.execute("SELECT id, state, revision FROM sandboxes").fetchall() == [
        ("box", "PAUSING", 1)
    ]
    facts = dict(conn.execute("SELECT key, value FROM meta"))
    assert facts == {
        "format": "2",
        "created_at_ns": "17",
        "boot_id": "boot",
        "opened": facts["opened"],
        "incomplete": "there was no file",
    }
    assert facts["opened"].startswith("boot ")
    conn.close()


async def test_opening_again_keeps_the_birth_and_notes_the_boot(path: Path) -> None:
    await stored(path)
    store = await SqliteStore.open(path, boot_id="next", now_ns=18)
    await store.close()
    conn = sqlite3.connect(path)
    facts = dict(conn.execute("SELECT key, value FROM meta"))
    assert facts == {
        "format": "2",
        "created_at_ns": "17",
        "boot_id": "next",
        "opened": facts["opened"],
        "incomplete": "there was no file",
    }
    assert facts["opened"].startswith("next ")
    conn.close()


async def test_a_second_connection_is_refused(path: Path) -> None:
    store = await open_store(path)
    await store.commit(change())
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        spoil_at_once(path)
    await store.commit(change(revision=2))
    await store.close()


def spoil_at_once(path: Path) -> None:
    conn = sqlite3.connect(path, timeout=0)
    try:
        conn.execute("SELECT * FROM sandboxes")
    finally:
        conn.close()


WRITE_FOR_EVER = """
import asyncio, itertools, pathlib, sys
from cubelet.store.sqlite import SqliteStore
from tests.contract.store.samples import change

async def main():
    store = await SqliteStore.open(pathlib.Path(sys.argv[1]), boot_id="b", now_ns=1)
    for revision in itertools.count(1):
        await store.commit(change(revision=revision))
        print(revision, flush=True)

asyncio.run(main())
"""


def write_until_killed(path: Path, acknowledged: int) -> int:
    """Kill -9 a writer once it has had so many answers; the last revision it was told of."""
    command = [sys.executable, "-c", WRITE_FOR_EVER, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(acknowledged)]
        os.kill(process.pid, signal.SIGKILL)
        told += process.stdout.readlines()
    return int(told[-1])


@pytest.mark.parametrize("acknowledged", [1, 20])
async def test_kill_9_keeps_what_was_acknowledged(path: Path, acknowledged: int) -> None:
    told = await asyncio.to_thread(write_until_killed, path, acknowledged)
    assert told >= acknowledged
    store = await open_store(path)
    (kept,) = (await store.load()).records
    assert kept.revision >= told
    lines = await store.journal("box", limit=10_000)
    assert [line.revision for line in lines] == list(range(1, kept.revision + 1))
    await store.close()


async def test_a_newer_format_is_seen_in_a_log_that_was_left(path: Path) -> None:
    told = await asyncio.to_thread(write_until_killed, path, 1)
    conn = sqlite3.connect(path)
    conn.execute("UPDATE meta SET value = '3' WHERE key = 'format'")
    conn.commit()
    copy = path.with_name("copy.db")
    for suffix in ("", "-wal"):
        overwrite(Path(f"{copy}{suffix}"), contents(Path(f"{path}{suffix}")))
    conn.close()
    before = contents(copy), contents(Path(f"{copy}-wal"))
    there = files(copy)
    fault = await refusal(copy)
    assert told
    assert "format '3'" in fault.message
    assert (contents(copy), contents(Path(f"{copy}-wal"))) == before
    assert files(copy) == there


async def test_a_newer_format_is_refused_and_not_touched(path: Path) -> None:
    await stored(path, "box")
    spoil(path, "UPDATE meta SET value = '3' WHERE key = 'format'")
    before = contents(path)
    fault = await refusal(path)
    assert fault.code is Code.FAILED_PRECONDITION
    assert "format '3'" in fault.message
    assert "reads up to 2" in fault.message
    assert contents(path) == before
    assert files(path) == ["store.db"]


async def test_somebody_elses_database_is_refused_and_not_touched(path: Path) -> None:
    spoil(path, "CREATE TABLE recipes (name TEXT)")
    before = contents(path)
    fault = await refusal(path)
    assert fault.code is Code.FAILED_PRECONDITION
    assert "not Cubelet's" in fault.message
    assert contents(path) == before


async def test_a_missing_directory_says_so(tmp_path: Path) -> None:
    fault = await refusal(tmp_path / "nowhere" / "store.db")
    assert "FileNotFoundError" in fault.message
    assert "directory exists" in fault.message


async def limit_pages(store: SqliteStore, count: int) -> None:
    """No more pages than the file has, or `count`: SQLite then reports a full disk."""
    await store.writer.read(lambda conn: conn.execute(f"PRAGMA max_page_count = {count}"))


async def test_a_full_disk_fails_the_commit_and_heals_without_a_restart(path: Path) -> None:
    store = await open_store(path)
    await store.commit(change("kept"))

    await limit_pages(store, 1)
    outcomes = await asyncio.gather(
        *(store.commit(change(f"box-{number}")) for number in range(100)), return_exceptions=True
    )
    failures = [one for one in outcomes if one is not None]
    assert failures
    for failure in failures:
        assert isinstance(failure, CubeletError)
        assert failure.fault.code is Code.UNAVAILABLE
        assert failure.fault.reason is Reason.STORE_FAILED
        for part in ("OperationalError", "SQLITE_FULL", str(path), "free space"):
            assert part in failure.fault.message
    acknowledged = len(outcomes) - len(failures)
    assert len((await store.load()).records) == 1 + acknowledged
    await limit_pages(store, 1 << 20)
    await store.commit(change("after"))
    assert len((await store.load()).records) == 2 + acknowledged
    await store.close()


async def test_each_probe_writes_to_the_log(path: Path) -> None:
    store = await open_store(path)
    sizes = []
    for _ in range(3):
        await store.probe()
        sizes.append(len(contents(Path(f"{path}-wal"))))
    assert sizes[0] > 0
    assert sizes == sorted(set(sizes))
    await store.close()


async def test_a_text_that_is_not_unicode_fails_its_own_commit(path: Path) -> None:
    store = await open_store(path)
    bad = Change(id="\ud800", record=record("\ud800"))
    bad_entry = Change(id="box", record=record(), entries=(entry("\ud800"),))
    bad_outcome = replace(change(), outcomes=(outcome("\ud800"),))
    bad_snapshot = replace(change(), snapshots=(snapshot("\ud800"),))
    answers = await asyncio.gather(
        store.commit(bad),
        store.commit(bad_entry),
        store.commit(bad_outcome),
        store.commit(bad_snapshot),
        store.commit(change("x")),
        return_exceptions=True,
    )
    for answer in answers[:4]:
        assert isinstance(answer, CubeletError)
        assert answer.fault.code is Code.INTERNAL
        assert answer.fault.reason is Reason.STORE_FAILED
    assert answers[4] is None
    assert [one.id for one in (await store.load()).records] == ["x"]
    await store.close()
