"""A copy of the store while it is in use: whole, private, and nobody waits for all of it."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from cubelet.core.faults import Code, CubeletError, Reason
from cubelet.engine.ports import Store
from cubelet.store import backup
from tests.contract.store.samples import change, record
from tests.unit.store.files import open_store

NAMES = [f"box-{number:03}" for number in range(100)]


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "STEP_PAGES", 1)


def folder(path: Path) -> list[str]:
    return sorted(one.name for one in (path.parent / "backups").iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def fill(store: Store) -> None:
    await asyncio.gather(*(store.commit(change(name)) for name in NAMES))


async def test_a_backup_is_a_whole_store_in_one_private_file(path: Path) -> None:
    store = await open_store(path)
    await fill(store)
    made = await store.backup("copy")
    copy = Path(made.path)
    assert folder(path) == ["copy.db"]
    assert (mode(copy), mode(copy.parent)) == (0o600, 0o700)
    assert made.bytes == len(bytes_of(copy))
    await store.close()
    with closing(sqlite3.connect(copy)) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert conn.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    again = await open_store(copy)
    loaded = await again.load()
    assert loaded.records == tuple(record(name) for name in NAMES)
    assert loaded.incomplete == "it was put in place from a backup"
    await again.close()


def bytes_of(path: Path) -> bytes:
    return path.read_bytes()


async def test_changes_get_their_turn_between_the_steps_and_are_in_the_copy(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer of a change that comes in the midst does not wait for the copy's end."""
    store = await open_store(path)
    await fill(store)
    loop = asyncio.get_running_loop()
    done: list[str] = []
    writing: list[asyncio.Task[None]] = []

    async def write() -> None:
        await store.commit(change("box-000", revision=2))
        done.append("written")

    def start() -> None:
        writing.append(asyncio.create_task(write()))

    def reach(name: str) -> None:
        # The thread holds still in its third step until the change is on its way to it.
        steps.append(name)
        if steps.count("store.backup.step") == 3 and name == "store.backup.step":
            loop.call_soon_threadsafe(start)
            while store.writer._queue.empty():
                pass

    steps: list[str] = []
    monkeypatch.setattr(backup, "reach", reach)
    made = await store.backup("copy")
    done.append("copied")
    await asyncio.gather(*writing)
    assert done == ["written", "copied"]
    assert steps.count("store.backup.step") > 30
    with closing(sqlite3.connect(made.path)) as conn:
        revisions = conn.execute("SELECT revision FROM sandboxes WHERE id = 'box-000'")
        assert revisions.fetchone() == (2,)
    await store.close()


async def test_only_one_is_made_at_a_time(path: Path) -> None:
    store = await open_store(path)
    await fill(store)
    first, second = await asyncio.gather(
        store.backup("one"), store.backup("two"), return_exceptions=True
    )
    assert not isinstance(first, BaseException)
    assert isinstance(second, CubeletError)
    assert second.fault.code is Code.RESOURCE_EXHAUSTED
    assert second.fault.reason is Reason.TOO_BUSY
    assert folder(path) == ["one.db"]
    await store.close()


async def test_who_stops_waiting_does_not_stop_it(path: Path) -> None:
    store = await open_store(path)
    await fill(store)
    task = asyncio.create_task(store.backup("copy"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store._backup is not None
    await store._backup
    assert folder(path) == ["copy.db"]
    await store.close()


async def test_a_store_that_closes_leaves_no_half_of_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store(path)
    await fill(store)
    loop = asyncio.get_running_loop()
    closing_tasks: list[asyncio.Task[None]] = []

    def reach(name: str) -> None:
        if name == "store.backup.step" and not closing_tasks:
            loop.call_soon_threadsafe(
                lambda: closing_tasks.append(asyncio.create_task(store.close()))
            )
            while store.writer._queue.empty():
                pass

    monkeypatch.setattr(backup, "reach", reach)
    with pytest.raises(CubeletError) as caught:
        await store.backup("copy")
    await asyncio.gather(*closing_tasks)
    assert caught.value.fault.reason is Reason.SHUTTING_DOWN
    assert folder(path) == []


@pytest.mark.parametrize("point", ["begun", "step", "copied", "checked", "synced", "named"])
async def test_a_backup_that_failed_leaves_nothing_and_can_be_made_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    store = await open_store(path)
    await fill(store)

    def reach(name: str) -> None:
        if name == f"store.backup.{point}":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup, "reach", reach)
    with pytest.raises(CubeletError, match="free space") as caught:
        await store.backup("copy")
    assert caught.value.fault.reason is Reason.STORE_FAILED
    monkeypatch.undo()
    assert point == "begun" or folder(path) == []
    await store.commit(change("after"))
    await store.backup("copy")
    assert folder(path) == ["copy.db"]
    await store.close()


async def test_what_a_dead_agent_left_goes_at_the_next_start(path: Path) -> None:
    await asyncio.to_thread((path.parent / "backups").mkdir)
    for name in ("half.db.part", "half.db.part-journal", "whole.db"):
        (path.parent / "backups" / name).touch()
    store = await open_store(path)
    assert folder(path) == ["whole.db"]
    await store.close()


@pytest.mark.parametrize("name", ["", "..", "../up", "a/b", "/abs", "a b", "x" * 77])
async def test_a_name_is_an_id(path: Path, name: str) -> None:
    store = await open_store(path)
    with pytest.raises(CubeletError) as caught:
        await store.backup(name)
    assert caught.value.fault.code is Code.INVALID_ARGUMENT
    await store.close()


async def test_a_copy_of_a_damaged_page_is_no_backup(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store(path)
    await fill(store)

    def spoil(name: str) -> None:
        if name == "store.backup.copied":
            part = path.parent / "backups" / "copy.db.part"
            data = bytearray(part.read_bytes())
            data[4096 * 3 : 4096 * 9] = b"\xa5" * (4096 * 6)
            part.write_bytes(data)

    monkeypatch.setattr(backup, "reach", spoil)
    with pytest.raises(CubeletError, match=r"damaged|malformed"):
        await store.backup("copy")
    assert folder(path) == []
    await store.close()
