"""The store that the agent runs on: one SQLite file, in WAL, synced before each answer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlite_utils import Database

from cubelet.core.effects import Entry
from cubelet.core.faults import Code, CubeletError, Reason, error
from cubelet.core.ids import check_id
from cubelet.core.model import Outcome
from cubelet.engine.ports import Backup, Change, Loaded
from cubelet.store import backup, journal, meta, operations, sandboxes, schema, snapshots
from cubelet.store.limits import LIMITS, Limits
from cubelet.store.problems import backup_taken, fault_of
from cubelet.store.writer import Writer

#: Rows that are dropped in one go, a few milliseconds for the changes that wait.
RETAIN_ROWS = 1000

T = TypeVar("T")

# EXCLUSIVE: no second connection, of whatever program, can open the file while the agent runs.
_PRAGMAS = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
"""


class SqliteStore:
    """Implements the engine's Store over one file. Made by `open`, in the loop that uses it."""

    def __init__(self, path: Path, *, boot_id: str, now_ns: int, limits: Limits) -> None:
        self._path = path
        self._limits = limits
        self._journal = journal.End()
        self._backup: asyncio.Task[Backup] | None = None
        self.writer = Writer(
            lambda: _connect(path, boot_id=boot_id, now_ns=now_ns),
            rolled_back=self._journal.forget,
        )

    @classmethod
    async def open(
        cls, path: Path, *, boot_id: str, now_ns: int, limits: Limits = LIMITS
    ) -> SqliteStore:
        """Open the file, or make it (mode 0600); its directory must exist.

        CubeletError, and nothing changed: UNAVAILABLE where the file cannot be opened or is
        damaged, FAILED_PRECONDITION where it is of a newer format or not ours.
        """
        store = cls(path, boot_id=boot_id, now_ns=now_ns, limits=limits)
        await store._told(store.writer.open(), "open")
        return store

    async def load(self) -> Loaded:
        """Everything there is, once, at start."""
        return await self._told(self.writer.read(_load), "read")

    async def commit(self, change: Change) -> None:
        """Write one change whole or not at all; it is synced, if it is to be, on return."""
        try:
            apply = _applier(change, self._journal)
        except ValueError as problem:
            raise fault_of(problem, self._path, doing="write to") from problem
        await self._told(self.writer.write(apply, synced=change.synced), "write to")

    async def journal(self, sandbox_id: str, *, limit: int) -> Sequence[Entry]:
        """The newest `limit` entries of one sandbox, or with "" of all, oldest first."""
        doing = "read the journal in"
        found: list[Entry] = []
        for top in await self._told(self.writer.read(journal.slices), doing):
            if len(found) >= limit:
                break
            rest = limit - len(found)
            lines = partial(journal.lines, sandbox_id=sandbox_id, top=top, limit=rest)
            found += await self._told(self.writer.read(lines), doing)
        return tuple(reversed(found))

    async def outcome(self, sandbox_id: str, key: str) -> Outcome | None:
        """What a request with this key was answered; an error where that cannot be read."""
        reading = self.writer.read(lambda conn: operations.get(conn, sandbox_id, key))
        return await self._told(reading, "read an outcome in")

    async def completed(self) -> None:
        """Note that all sandboxes that live here are known."""
        await self._told(
            self.writer.write(lambda conn: meta.drop(conn, meta.INCOMPLETE)), "write to"
        )

    async def retain(self, now_ns: int) -> int:
        """Drop what need not be kept any longer, a slice at a time; how many rows that were."""
        dropped = 0
        for drop in (
            partial(journal.drop_oldest, keep=self._limits.journal),
            partial(operations.drop_oldest, keep=self._limits.outcomes),
        ):
            count = 1
            while count:
                job = partial(drop, now_ns=now_ns, rows_max=RETAIN_ROWS)
                count = await self._told(self.writer.write(job, synced=False), "write to")
                dropped += count
        return dropped

    async def probe(self) -> None:
        """Write something small, synced."""
        await self._told(self.writer.write(_probe), "write to")

    async def backup(self, name: str) -> Backup:
        """Copy the store to `backups/NAME.db` beside it. Who stops waiting does not stop it."""
        check_id(name, "backup")
        if self._backup is not None and not self._backup.done():
            message = "another backup is being made; try again when it is done"
            raise error(Code.RESOURCE_EXHAUSTED, Reason.TOO_BUSY, message)
        self._backup = asyncio.create_task(self._copied(name), name="cubelet-backup")
        return await asyncio.shield(self._backup)

    async def close(self) -> None:
        """Write what waits, then close; a backup that is being made comes to nothing."""
        await self.writer.close()
        if self._backup is not None:
            await asyncio.wait([self._backup])

    async def _copied(self, name: str) -> Backup:
        target = self._path.parent / "backups" / f"{name}.db"
        if target.exists():
            raise backup_taken(name)
        writer, doing = self.writer, f"make backup {name} of"
        part = await self._told(asyncio.to_thread(backup.begin, target), doing)
        try:
            await self._told(
                writer.read(
                    lambda conn: backup.copy(conn, part, between=lambda: writer.take_turns(conn))
                ),
                doing,
            )
            size = await self._told(asyncio.to_thread(backup.finish, part, target), doing)
        except BaseException:
            # What is left goes before the next backup of that name.
            with contextlib.suppress(OSError):
                backup.remove(part)
            raise
        return Backup(path=str(target), bytes=size)

    async def _told(self, work: Awaitable[T], doing: str) -> T:
        try:
            return await work
        except CubeletError:
            raise
        except Exception as problem:
            raise fault_of(problem, self._path, doing=doing) from problem


def _load(conn: sqlite3.Connection) -> Loaded:
    records, unreadable = sandboxes.load(conn)
    catalog, unusable = snapshots.load(conn)
    return Loaded(
        records=records,
        unreadable=unreadable,
        snapshots=catalog,
        unreadable_snapshots=unusable,
        incomplete=meta.get(conn, meta.INCOMPLETE) or "",
    )


def _probe(conn: sqlite3.Connection) -> None:
    meta.put(conn, meta.PROBES, str(int(meta.get(conn, meta.PROBES) or 0) + 1))


def _applier(change: Change, end: journal.End) -> Callable[[sqlite3.Connection], None]:
    """The change as statements; all is encoded here, so that it fails its own caller."""
    row = sandboxes.row(change.record) if change.record is not None else None
    outcomes = [operations.row(outcome) for outcome in change.outcomes]
    taken = [snapshots.row(snapshot) for snapshot in change.snapshots]

    def apply(conn: sqlite3.Connection) -> None:
        if row is None:
            sandboxes.remove(conn, change.id)
        else:
            sandboxes.put(conn, row)
        end.append(conn, change.entries)
        operations.put(conn, outcomes)
        snapshots.put(conn, taken)

    return apply


def _connect(path: Path, *, boot_id: str, now_ns: int) -> sqlite3.Connection:
    made = not path.exists()
    if not made:
        _look(path)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    conn = sqlite3.connect(path, isolation_level=None)
    try:
        _prepare(conn, boot_id=boot_id, now_ns=now_ns)
        if made:
            meta.put(conn, meta.INCOMPLETE, "there was no file")
    except BaseException:
        conn.close()
        raise
    return conn


def _look(path: Path) -> None:
    """Refuse what is not for us over a connection that cannot write, and is closed again."""
    # Where nothing waits in a write-ahead log, "immutable" reads the file without a trace.
    reading = "mode=ro" if _log_of(path).exists() else "immutable=1"
    conn = sqlite3.connect(f"{path.absolute().as_uri()}?{reading}", uri=True, isolation_level=None)
    try:
        schema.refuse_foreign(Database(conn, execute_plugins=False), path)
    finally:
        conn.close()


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _prepare(conn: sqlite3.Connection, *, boot_id: str, now_ns: int) -> None:
    # A text that is not UTF-8 must spoil its own row only: it comes as one that no codec takes.
    conn.text_factory = lambda data: data.decode(errors="backslashreplace")
    conn.executescript(_PRAGMAS)
    schema.migrations.apply(Database(conn, execute_plugins=False))
    meta.put_once(conn, meta.CREATED_AT_NS, str(now_ns))
    meta.put(conn, meta.BOOT_ID, boot_id)
