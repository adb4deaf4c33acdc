"""The one thread that owns the connection, and its group commit.

Writes that wait together go to disk in one transaction, so that they share its sync: with 64
callers that is one sync for tens of changes. Whoever waits is told after the sync, never before.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from cubelet.core.faults import Code, Reason, error
from cubelet.crashpoints import reach
from cubelet.engine.ports import StoreFailed
from cubelet.store.problems import closed

#: Changes in one transaction at most, so that the first of them does not wait for too many others.
GROUP_MAX = 256
#: Jobs that wait at most; each sandbox has one of its own, so this is far above what is real.
QUEUE_MAX = 4096

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """Something to do with the connection. A write may be run again, after a roll-back."""

    run: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]
    writes: bool
    synced: bool = True


#: What a job came to: its value, or the exception it raised.
_Outcome = tuple[_Job, Any, Exception | None]


class Writer:
    """Runs jobs in the order in which they were given. Made and used in one event loop.

    A caller that is cancelled takes nothing back: what was accepted is written. `refused` counts
    jobs that found the queue full, `transactions` what was committed. In the thread, `committed` is
    called after each commit, before its callers are told, and `rolled_back` whenever what jobs did
    was undone; an OSError of the former changes nothing.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        *,
        committed: Callable[[], None] = lambda: None,
        rolled_back: Callable[[], None] = lambda: None,
        group_max: int = GROUP_MAX,
        queue_max: int = QUEUE_MAX,
    ) -> None:
        self.refused = 0
        self.transactions = 0
        self._connect = connect
        self._committed = committed
        self._rolled_back = rolled_back
        self._group_max = group_max
        self._queue_max = queue_max
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._waiting: set[_Job] = set()
        self._synced = True  # As `connect` leaves the connection.
        self._doubtful = False
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._opened = self._loop.create_future()
        self._ended = self._loop.create_future()
        self._thread = threading.Thread(target=self._main, name="cubelet-store", daemon=True)

    async def open(self) -> None:
        """Start the thread and connect; raises what `connect` raised. To be called once."""
        self._thread.start()
        await asyncio.shield(self._opened)

    async def write(self, run: Callable[[sqlite3.Connection], T], *, synced: bool = True) -> T:
        """Run it in a transaction; its value when that is committed, or what failed is raised.

        A synced one is on the disk then, with all before it; another with the operating system.

        CubeletError: RESOURCE_EXHAUSTED where too much waits, UNAVAILABLE where it is closed.
        """
        value: T = await self._submit(run, writes=True, synced=synced)
        return value

    async def read(self, run: Callable[[sqlite3.Connection], T]) -> T:
        """Run it after everything that was given before; its value, or what it raised."""
        value: T = await self._submit(run, writes=False)
        return value

    async def close(self) -> None:
        """Do what waits, empty the write-ahead log, close. More than one may call it."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await asyncio.shield(self._ended)
        self._thread.join()

    def _submit(
        self, run: Callable[[sqlite3.Connection], Any], *, writes: bool, synced: bool = True
    ) -> asyncio.Future[Any]:
        if self._closed:
            raise closed()
        if len(self._waiting) >= self._queue_max:
            self.refused += 1
            message = f"{self._queue_max} changes wait for the disk already; try again later"
            raise error(Code.RESOURCE_EXHAUSTED, Reason.TOO_BUSY, message)
        job = _Job(run, self._loop.create_future(), writes, synced)
        self._waiting.add(job)
        self._queue.put(job)
        return job.future

    # From here on down to `_tell`: in the thread.

    def take_turns(self, conn: sqlite3.Connection) -> bool:
        """For a long job, in its midst: do some of what waits; False where the store is to close.

        Not within a transaction of the job's.
        """
        if self._queue.empty() or self._round(conn):
            return True
        self._queue.put(None)  # For the thread, once the job has come to its end.
        return False

    def _main(self) -> None:
        try:
            conn = self._connect()
        except Exception as problem:  # noqa: BLE001  # Handed to who called open().
            self._tell(self._refuse, problem)
            return
        try:
            self._tell(self._opened.set_result, None)
            while self._round(conn):
                pass
        finally:
            # A failure here loses nothing: the next opening reads the write-ahead log again.
            with contextlib.suppress(sqlite3.Error, OSError):
                reach("store.close.begun")
                conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                reach("store.close.checkpointed")
            with contextlib.suppress(sqlite3.Error):
                conn.close()
            with contextlib.suppress(OSError):
                reach("store.close.closed")
            self._tell(self._finish)

    def _round(self, conn: sqlite3.Connection) -> bool:
        """Do what waits, up to one group of each kind; False once there is nothing more to do."""
        jobs = self._take()
        for writes, run_of in itertools.groupby(filter(None, jobs), key=lambda job: job.writes):
            group = list(run_of)
            outcomes = self._write(conn, group) if writes else [_ask(conn, job) for job in group]
            self._tell(self._settle, outcomes)
            with contextlib.suppress(OSError):
                reach("store.commit.told")
            if writes and self._queue.empty():
                self._get_ready(conn)
        return None not in jobs

    def _take(self) -> list[_Job | None]:
        jobs = [self._queue.get()]
        with contextlib.suppress(queue.Empty):
            while len(jobs) < self._group_max:
                jobs.append(self._queue.get_nowait())
        return jobs

    def _write(self, conn: sqlite3.Connection, group: Sequence[_Job]) -> list[_Outcome]:
        """All in one transaction; where that fails, each in its own, still in order."""
        outcomes, problem = self._transact(conn, group)
        if problem is None or len(group) == 1:
            return outcomes
        return [self._transact(conn, [job])[0][0] for job in group]

    def _transact(
        self, conn: sqlite3.Connection, group: Sequence[_Job]
    ) -> tuple[list[_Outcome], Exception | None]:
        try:
            self._dispel_doubt(conn)
            self._set_synced(conn, synced=any(job.synced for job in group))
            reach("store.commit.begin")
            conn.execute("BEGIN IMMEDIATE")
            reach("store.commit.begun")
            outcomes: list[_Outcome] = [(job, job.run(conn), None) for job in group]
            reach("store.commit.written")
            conn.execute("COMMIT")
        except Exception as problem:  # noqa: BLE001  # Handed to who gave the job.
            # Where this fails too, the next BEGIN does, and says so to its caller.
            with contextlib.suppress(sqlite3.Error):
                conn.rollback()
            self._rolled_back()
            self._doubtful |= _primary_code(problem) == sqlite3.SQLITE_IOERR
            return [(job, None, problem) for job in group], problem
        self.transactions += 1
        # Written is written: what fails from here on is no failure of the jobs.
        with contextlib.suppress(OSError):
            reach("store.commit.done")
            self._committed()
            reach("store.commit.marked")
        return outcomes, None

    def _dispel_doubt(self, conn: sqlite3.Connection) -> None:
        """After a sync that failed: put all that was committed into the file itself, synced.

        The system tries a page once. Where it could not write one it takes it for written, and the
        next sync would call durable what is not.
        """
        if self._doubtful:
            conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            reach("store.commit.dispelled")
            self._doubtful = False

    def _set_synced(self, conn: sqlite3.Connection, *, synced: bool) -> None:
        """In WAL mode NORMAL leaves out the sync of a commit, and nothing else."""
        if synced is not self._synced:
            conn.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            self._synced = synced

    def _get_ready(self, conn: sqlite3.Connection) -> None:
        """Prepare for the other kind of write while nobody waits; a guess costs nothing but that.

        An intent, which is not synced, is followed by its outcome, which is, and so in turn.
        """
        with contextlib.suppress(sqlite3.Error):
            self._set_synced(conn, synced=not self._synced)

    def _tell(self, what: Callable[..., object], *args: object) -> None:
        """Have it called in the loop; a loop that is closed has nobody left who waits."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what, *args)

    # In the loop again.

    def _settle(self, outcomes: Sequence[_Outcome]) -> None:
        for job, value, problem in outcomes:
            self._waiting.discard(job)
            if job.future.done():
                continue
            if problem is None:
                job.future.set_result(value)
            else:
                job.future.set_exception(problem)

    def _refuse(self, problem: Exception) -> None:
        self._opened.set_exception(problem)
        self._finish()

    def _finish(self) -> None:
        """The thread has ended, by `close` or not: nobody may wait for it any longer."""
        self._closed = True
        message = "the store's writer has ended; restart the agent"
        lost = StoreFailed(message, cause="OTHER")
        self._settle([(job, None, lost) for job in self._waiting])
        self._ended.set_result(None)


def _primary_code(problem: Exception) -> int:
    return getattr(problem, "sqlite_errorcode", 0) & 0xFF


def _ask(conn: sqlite3.Connection, job: _Job) -> _Outcome:
    try:
        return job, job.run(conn), None
    except Exception as problem:  # noqa: BLE001  # Handed to who gave the job.
        return job, None, problem
