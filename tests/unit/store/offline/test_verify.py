"""What a check finds: each kind of damage by its place, nothing in a sound store, and no trace."""

from __future__ import annotations

import re
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from cubelet.core.faults import CubeletError
from cubelet.core.inputs import Cause
from cubelet.engine.ports import Change
from cubelet.store.limits import Keep, Limits
from cubelet.store.offline import verify as verify_room
from cubelet.store.offline.verify import verify
from cubelet.store.sqlite import SqliteStore
from tests.support.lives import LIVED, lived_store
from tests.unit.store.files import open_store, spoil


def found(path: Path) -> list[str]:
    """What is wrong, each as its place and what it is."""
    report = verify(path)
    assert report.found == len(report.problems)
    assert all(problem.advice for problem in report.problems)
    return [f"{problem.where}: {problem.what}" for problem in report.problems]


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {one.name: (one.read_bytes(), one.stat().st_mtime_ns) for one in folder.iterdir()}


def test_what_engines_write_is_sound(store: Path) -> None:
    report = verify(store)
    assert report.problems == ()
    assert report.counts["sandboxes"] == 2
    assert report.counts["snapshots"] == 2
    assert report.counts["operations"] == 3
    assert report.counts["journal"] == sum(len(change.entries) for change in LIVED)
    assert report.meta["boot_id"] == "boot"


def test_it_leaves_no_trace(store: Path) -> None:
    before = contents(store.parent)
    assert found(store) == []
    assert contents(store.parent) == before


async def test_what_waits_in_the_log_counts_and_stays_there(path: Path, tmp_path: Path) -> None:
    """As a kill -9 leaves it: file and write-ahead log."""
    running = await open_store(path)
    for change in LIVED:
        await running.commit(change)
    killed = tmp_path / "killed"
    killed.mkdir()
    for one in path.parent.glob(f"{path.name}*"):
        shutil.copy(one, killed)
    await running.close()
    assert (killed / f"{path.name}-wal").stat().st_size > 0
    before = contents(killed)
    report = verify(killed / path.name)
    assert (report.found, report.counts["sandboxes"]) == (0, 2)
    assert contents(killed) == before


@pytest.mark.parametrize(
    ("statement", "where", "what"),
    [
        ("UPDATE sandboxes SET body = 'x' WHERE id = 'box'", "sandbox box", "malformed"),
        ("UPDATE sandboxes SET state = 'EXITED' WHERE id = 'box'", "sandbox box", "columns"),
        ("UPDATE sandboxes SET revision = 99 WHERE id = 'box'", "sandbox box", "columns"),
        ("UPDATE sandboxes SET id = 'cat' WHERE id = 'box'", "sandbox cat", "columns"),
        (
            "UPDATE sandboxes SET id = CAST(x'62ff' AS TEXT) WHERE id = 'box'",
            "sandbox b\\xff",
            "columns",
        ),
        ("UPDATE snapshots SET body = 'x' WHERE id = 'two'", "snapshot two", "malformed"),
        ("UPDATE snapshots SET sandbox_id = 'x' WHERE id = 'two'", "snapshot two", "columns"),
        ("DELETE FROM snapshots WHERE id = 'one'", "snapshot two", "base one is not in"),
        ("UPDATE operations SET body = 'x' WHERE seq = 1", "answer 1 (", "malformed"),
        ("UPDATE operations SET key = 'x' WHERE seq = 1", "answer 1 (key 'x' of", "columns"),
        ("UPDATE operations SET at_ns = 1 WHERE seq = 1", "answer 1 (", "columns"),
        ("UPDATE journal SET revision = 9 WHERE seq = 4", "journal line 4", "revision 9 follows"),
        ("UPDATE journal SET cause = 'moon' WHERE seq = 4", "journal line 4", "'moon'"),
        ("UPDATE journal SET after = 'MOON' WHERE seq = 4", "journal line 4", "'MOON'"),
        (
            "UPDATE journal SET before = 'EXITED' WHERE seq = 1",
            "journal line 1",
            "begins with EXITED",
        ),
        ("UPDATE journal SET before = 'EXITED' WHERE seq = 4", "journal line 4", "begins at"),
        ("UPDATE journal SET detail = '' WHERE seq = 4", "journal line 4", "hash does not fit"),
        ("UPDATE journal SET hash = '' WHERE seq = 4", "journal line 5", "hash does not fit"),
        ("UPDATE journal SET seq = 999 WHERE seq = 14", "journal line 999", "it follows line 13"),
        ("DELETE FROM journal WHERE seq = 1", "journal line 2", "it follows line 0"),
        (
            "INSERT INTO meta VALUES ('anchor', '0 ' || replace(hex(zeroblob(32)), '0', 'f'))",
            "journal line 1",
            "hash does not fit",
        ),
        ("INSERT INTO meta VALUES ('anchor', 'x')", "journal line 1", "meta says 'x'"),
        ("DELETE FROM journal WHERE seq = 4", "journal line 5", "it follows line 3"),
        ("DELETE FROM sandboxes WHERE id = 'box'", "sandbox box", "has no record"),
        ("DELETE FROM meta WHERE key = 'format'", "file", "its format is ''"),
        ("UPDATE meta SET value = '999' WHERE key = 'format'", "file", "format '999'"),
        ("DROP TABLE operations", "table operations", "missing"),
    ],
)
def test_each_kind_of_damage_is_told_by_its_place(
    store: Path, statement: str, where: str, what: str
) -> None:
    spoil(store, statement)
    told = found(store)
    assert any(line.startswith(where) and what in line for line in told), told


def test_a_journal_that_lost_its_end_is_told_by_the_record(store: Path) -> None:
    spoil(store, "DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal)")
    (told,) = found(store)
    assert told.startswith("sandbox other: its record is RUNNING at revision")


def test_a_record_nobody_wrote_a_line_of(store: Path) -> None:
    spoil(store, "DELETE FROM journal WHERE sandbox_id = 'other'")
    assert found(store) == ["sandbox other: the journal has no line of it"]


def test_a_damaged_index_is_found_by_sqlite_itself(store: Path) -> None:
    whole = store.read_bytes()
    told: list[str] = []
    for place in re.finditer(b"other", whole):
        store.write_bytes(whole[: place.start()] + b"orher" + whole[place.end() :])
        told += found(store)
    assert any(line.startswith("file: SQLite's check: ") and "index" in line for line in told)


@pytest.mark.parametrize("keep", [0, 1, 99, 5000, 20_000])
def test_a_file_that_was_cut_is_a_problem_and_no_crash(store: Path, keep: int) -> None:
    store.write_bytes(store.read_bytes()[:keep])
    assert found(store)


def test_a_file_that_is_none_of_ours(path: Path) -> None:
    path.write_bytes(b"no database at all" * 100)
    assert found(path) == ["file: what follows cannot be read: file is not a database"]


def test_a_file_that_is_not_there(path: Path) -> None:
    with pytest.raises(CubeletError, match="there is no store at"):
        verify(path)
    assert not path.exists()


async def made_anew(path: Path, *, revision: int) -> list[str]:
    """A sandbox that lived, and whose record was lost and is made anew with this revision."""
    created, running, *_ = (change for change in LIVED if change.id == "box")
    assert running.record is not None
    line = replace(running.entries[0], cause=Cause.RECOVERY, before=None, revision=revision)
    anew = replace(running.record, revision=revision)
    await lived_store(path, [created, running, replace(running, record=anew, entries=(line,))])
    return found(path)


async def test_a_record_that_is_made_anew_begins_above_the_lost_one(path: Path) -> None:
    assert await made_anew(path, revision=10**15) == []


async def test_a_record_that_is_made_anew_with_old_numbers_is_told(path: Path) -> None:
    assert await made_anew(path, revision=2) == ["journal line 3: revision 2 follows 2 of line 2"]


async def test_a_second_create_is_told(path: Path) -> None:
    made, *_ = LIVED
    await lived_store(path, [made, made])
    assert found(path)[0] == "journal line 2: the history of sandbox box begins once more"


async def test_a_history_that_begins_late_is_told(path: Path) -> None:
    made, *_ = LIVED
    await lived_store(path, [replace(made, entries=(replace(made.entries[0], revision=3),))])
    assert found(path)[0] == "journal line 1: the history of sandbox box begins at revision 3"


async def test_a_journal_of_which_the_oldest_lines_were_dropped(path: Path) -> None:
    keep = Keep(newest=1, age_s=0, most=5)
    store = await SqliteStore.open(path, boot_id="b", now_ns=1, limits=Limits(journal=keep))
    for change in LIVED:
        await store.commit(change)
    await store.retain(now_ns=0)
    await store.close()
    report = verify(path)
    assert (report.problems, report.counts["journal"]) == ((), 5)
    spoil(path, "UPDATE journal SET detail = '' WHERE seq = (SELECT min(seq) FROM journal)")
    (told,) = found(path)
    assert "hash does not fit" in told


def test_a_store_of_the_first_format_has_no_chain_and_is_sound(store: Path) -> None:
    conn = sqlite3.connect(store, isolation_level=None)
    conn.execute("ALTER TABLE journal DROP COLUMN hash")
    conn.execute("UPDATE meta SET value = '1' WHERE key = 'format'")
    conn.execute("DELETE FROM _sqlite_migrations WHERE name = 'm002_chain'")
    conn.execute("DELETE FROM journal WHERE seq = 1")  # It knew no anchor either.
    conn.close()
    assert found(store) == []


async def test_what_was_answered_and_is_not_there_any_more(path: Path) -> None:
    """After a kill -9 of the agent, when somebody removes the write-ahead log."""
    running = await open_store(path)
    for change in LIVED:
        await running.commit(change)
    killed = path.parent / "killed"
    shutil.copytree(path.parent, killed, ignore=lambda *_: [killed.name])
    await running.close()
    assert verify(killed / path.name, boot_id="boot").problems == ()
    (killed / f"{path.name}-wal").unlink()
    told = verify(killed / path.name, boot_id="boot").problems
    assert "changes are lost" in told[0].what
    assert verify(killed / path.name, boot_id="of another host").problems == ()


async def test_so_many_problems_are_kept_and_all_are_counted(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_room, "PROBLEMS_MAX", 2)
    await lived_store(path)
    spoil(path, "UPDATE operations SET body = 'x'")
    report = verify(path)
    assert (len(report.problems), report.found) == (2, 3)


async def test_an_id_that_is_used_again_has_a_history_of_its_own(path: Path) -> None:
    gone = [change for change in LIVED if change.id == "gone"]
    second: list[Change] = [
        replace(
            change,
            record=change.record and replace(change.record, incarnation="second"),
            entries=tuple(replace(line, incarnation="second") for line in change.entries),
            outcomes=(),
        )
        for change in gone
    ]
    await lived_store(path, [*gone, *second])
    assert found(path) == []
