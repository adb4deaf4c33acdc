from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from cubelet.core.faults import Code, CubeletError, Reason
from cubelet.store.writer import Writer
from tests.support.polling import eventually

Run = Callable[[sqlite3.Connection], None]


def connect(path: Path) -> sqlite3.Connection:
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, v TEXT) STRICT")
    return conn


def put(number: int, value: object = "") -> Run:
    def run(conn: sqlite3.Connection) -> None:
        conn.execute("INSERT INTO t VALUES (?, ?)", (number, value))

    return run


def numbers(conn: sqlite3.Connection) -> list[int]:
    return [n for (n,) in conn.execute("SELECT n FROM t ORDER BY rowid")]


class Gate:
    """Holds the writer's thread inside a job, so that what comes meanwhile waits together."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, conn: sqlite3.Connection) -> None:
        del conn
        self.entered.set()
        assert self.opened.wait(10)


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[Writer]:
    made = Writer(lambda: connect(tmp_path / "t.db"), queue_max=300)
    await made.open()
    yield made
    await made.close()


async def hold(writer: Writer) -> tuple[Gate, asyncio.Task[None]]:
    gate = Gate()
    task = asyncio.create_task(writer.read(gate))
    await asyncio.to_thread(gate.entered.wait, 10)
    return gate, task


async def start(writer: Writer, *runs: Run) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(writer.write(run)) for run in runs]
    await asyncio.sleep(0)
    return tasks


async def test_a_transaction_is_synced_if_one_of_its_changes_is_to_be(writer: Writer) -> None:
    seen: list[int] = []

    def note(conn: sqlite3.Connection) -> None:
        seen.append(conn.execute("PRAGMA synchronous").fetchone()[0])

    normal, full = 1, 2
    await writer.write(note, synced=False)
    await writer.write(note)
    await writer.write(note, synced=False)
    assert seen == [normal, full, normal]
    gate, held = await hold(writer)
    tasks = [
        asyncio.create_task(writer.write(run, synced=synced))
        for run, synced in ((note, False), (put(1), True))
    ]
    await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(held, *tasks)
    assert seen[3:] == [full]


async def test_an_idle_connection_is_ready_for_the_other_kind_of_write(writer: Writer) -> None:
    """An intent is followed by its outcome; a changed mode would be in the way of either."""

    def mode(conn: sqlite3.Connection) -> int:
        found: int = conn.execute("PRAGMA synchronous").fetchone()[0]
        return found

    normal, full = 1, 2
    await writer.write(put(1), synced=False)
    await eventually(lambda: writer._synced, what="it is ready for an outcome")
    assert await writer.read(mode) == full
    assert await writer.read(mode) == full
    await writer.write(put(2))
    await eventually(lambda: not writer._synced, what="it is ready for an intent")
    assert await writer.read(mode) == normal


async def test_what_waits_shares_one_transaction(writer: Writer) -> None:
    gate, held = await hold(writer)
    tasks = await start(writer, *map(put, range(256)))
    gate.opened.set()
    await asyncio.gather(held, *tasks)
    assert writer.transactions == 1
    assert await writer.read(numbers) == list(range(256))


async def test_a_group_has_a_limit(tmp_path: Path) -> None:
    writer = Writer(lambda: connect(tmp_path / "t.db"), group_max=10)
    await writer.open()
    gate, held = await hold(writer)
    tasks = await start(writer, *map(put, range(25)))
    gate.opened.set()
    await asyncio.gather(held, *tasks)
    assert writer.transactions == 3
    await writer.close()


async def test_one_that_fails_fails_alone(writer: Writer) -> None:
    gate, held = await hold(writer)
    tasks = await start(writer, put(1), put(2, b"not a text"), put(3), put(3), put(2**80), put(4))
    gate.opened.set()
    done = await asyncio.gather(held, *tasks, return_exceptions=True)
    failures = [type(one) for one in done[1:]]
    assert failures == [
        type(None),
        sqlite3.IntegrityError,
        type(None),
        sqlite3.IntegrityError,
        OverflowError,
        type(None),
    ]
    assert await writer.read(numbers) == [1, 3, 4]


async def test_after_a_failed_sync_all_is_put_into_the_file_before_the_next_commit(
    writer: Writer,
) -> None:
    """And as long as that fails, so does every commit: nobody may be told what is in doubt."""
    seen: list[str] = []

    def fail(_: sqlite3.Connection) -> None:
        problem = sqlite3.OperationalError("disk I/O error")
        problem.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        raise problem

    def forbid(action: int, *_: object) -> int:
        return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_PRAGMA else sqlite3.SQLITE_OK

    await writer.write(put(1))
    await writer.read(lambda conn: conn.set_trace_callback(seen.append))
    with pytest.raises(sqlite3.OperationalError, match="disk"):
        await writer.write(fail)
    await writer.read(lambda conn: conn.set_authorizer(forbid))
    for _ in range(2):
        with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
            await writer.write(put(2))
    await writer.read(lambda conn: conn.set_authorizer(None))
    assert "PRAGMA wal_checkpoint(TRUNCATE)" not in seen
    await writer.write(put(3))
    await writer.write(put(4))
    assert seen.count("PRAGMA wal_checkpoint(TRUNCATE)") == 1
    assert await writer.read(numbers) == [1, 3, 4]


async def test_committed_is_called_before_anybody_is_told_and_may_fail(tmp_path: Path) -> None:
    happened: list[str] = []

    def committed() -> None:
        happened.append("committed")
        raise OSError(28, "no space left")

    writer = Writer(
        lambda: connect(tmp_path / "t.db"),
        committed=committed,
        rolled_back=lambda: happened.append("rolled back"),
    )
    await writer.open()
    await writer.write(put(1))
    happened.append("told")
    with pytest.raises(sqlite3.IntegrityError):
        await writer.write(put(1))
    assert happened == ["committed", "told", "rolled back"]
    await writer.close()


async def test_half_a_job_is_not_kept(writer: Writer) -> None:
    def half(conn: sqlite3.Connection) -> None:
        put(1)(conn)
        put(2, b"not a text")(conn)

    with pytest.raises(sqlite3.IntegrityError):
        await writer.write(half)
    assert await writer.read(numbers) == []


async def test_a_read_sees_every_write_before_it(writer: Writer) -> None:
    gate, held = await hold(writer)
    writing = await start(writer, put(1), put(2))
    reading = asyncio.create_task(writer.read(numbers))
    await asyncio.sleep(0)
    writing += await start(writer, put(3))
    gate.opened.set()
    await asyncio.gather(held, *writing)
    assert await reading == [1, 2]


async def test_a_full_queue_refuses_and_counts(writer: Writer) -> None:
    gate, held = await hold(writer)
    tasks = await start(writer, *map(put, range(299)))
    with pytest.raises(CubeletError) as caught:
        await writer.write(put(1000))
    assert caught.value.fault.code is Code.RESOURCE_EXHAUSTED
    assert caught.value.fault.reason is Reason.TOO_BUSY
    assert writer.refused == 1
    gate.opened.set()
    await asyncio.gather(held, *tasks)
    await writer.write(put(1001))
    assert (await writer.read(numbers))[-1] == 1001


async def test_a_cancelled_caller_takes_nothing_back(writer: Writer) -> None:
    gate, held = await hold(writer)
    (gone, stays) = await start(writer, put(1), put(2))
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    gate.opened.set()
    await asyncio.gather(held, stays)
    assert await writer.read(numbers) == [1, 2]


async def test_cancelled_callers_still_count_against_the_limit(writer: Writer) -> None:
    gate, held = await hold(writer)
    tasks = await start(writer, *map(put, range(299)))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with pytest.raises(CubeletError):
        await writer.write(put(1000))
    gate.opened.set()
    await held


async def test_closing_writes_what_waits(tmp_path: Path) -> None:
    writer = Writer(lambda: connect(tmp_path / "t.db"))
    await writer.open()
    gate, held = await hold(writer)
    tasks = await start(writer, *map(put, range(600)))
    closing = asyncio.gather(writer.close(), writer.close())
    await asyncio.sleep(0)
    with pytest.raises(CubeletError) as caught:
        await writer.write(put(1000))
    assert caught.value.fault.reason is Reason.SHUTTING_DOWN
    gate.opened.set()
    await asyncio.gather(held, closing, *tasks)
    conn = sqlite3.connect(tmp_path / "t.db")
    assert len(numbers(conn)) == 600
    conn.close()


async def test_nobody_waits_for_a_thread_that_died(tmp_path: Path) -> None:
    class Death(BaseException):
        pass

    def die(_: sqlite3.Connection) -> None:
        raise Death

    deaths: list[object] = []
    threading.excepthook, before = deaths.append, threading.excepthook
    try:
        writer = Writer(lambda: connect(tmp_path / "t.db"))
        await writer.open()
        gate, held = await hold(writer)
        tasks = await start(writer, put(1), die, put(2))
        gate.opened.set()
        done = await asyncio.gather(held, *tasks, return_exceptions=True)
        reasons = [one.fault.reason for one in done[1:] if isinstance(one, CubeletError)]
        assert reasons == [Reason.STORE_FAILED] * 3
        with pytest.raises(CubeletError):
            await writer.write(put(3))
        await writer.close()
    finally:
        threading.excepthook = before
    assert len(deaths) == 1


async def test_opening_raises_what_connecting_raised() -> None:
    def refuse() -> sqlite3.Connection:
        raise sqlite3.OperationalError("no")

    writer = Writer(refuse)
    with pytest.raises(sqlite3.OperationalError, match="no"):
        await writer.open()
    await writer.close()
