"""The store that the agent runs on: one SQLite file, in WAL, synced before each answer."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from cubelet.core.effects import Entry
from cubelet.core.faults import Code, CubeletError, Reason, error
from cubelet.core.ids import check_id
from cubelet.core.model import Outcome
from cubelet.crashpoints import reach
from cubelet.engine.ports import Backup, Change, Loaded
from cubelet.store import backup, journal, meta, operations, sandboxes, snapshots
from cubelet.store.limits import LIMITS, Limits
from cubelet.store.mark import Mark
from cubelet.store.opening import open_file
from cubelet.store.problems import backup_taken, fault_of
from cubelet.store.writer import Writer

#: Rows that are dropped in one go, a few milliseconds for the changes that wait.
RETAIN_ROWS = 1000

_UNSAID = "it does not say whether it is complete"

T = TypeVar("T")


class SqliteStore:
    """Implements the engine's Store over one file. Made by `open`, in the loop that uses it."""

    def __init__(self, path: Path, *, boot_id: str, now_ns: int, limits: Limits) -> None:
        self._path = path
        self._limits = limits
        self._journal = journal.End()
        self._mark = Mark(path)
        self._backups = path.parent / "backups"
        self._backup: asyncio.Task[Backup] | None = None
        self.writer = Writer(
            partial(self._connect, boot_id=boot_id, now_ns=now_ns),
            committed=self._tell_mark,
            rolled_back=self._journal.forget,
        )

    @classmethod
    async def open(
        cls, path: Path, *, boot_id: str, now_ns: int, limits: Limits = LIMITS
    ) -> SqliteStore:
        """Open the file, or make it (mode 0600); its directory must exist.

        A damaged one is kept in `quarantine` beside it, and a new one takes its place. `boot_id` is
        the kernel's: only within one boot can be told whether changes that were not synced are
        missing. CubeletError, and nothing changed: UNAVAILABLE where the file cannot be had,
        FAILED_PRECONDITION where it is of a newer format or not ours.
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
        await self._told(self.writer.write(_complete), "write to")

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
        log = self._path.with_name(self._path.name + "-wal")
        self._mark.close(remove=not log.exists())

    async def _copied(self, name: str) -> Backup:
        target = self._backups / f"{name}.db"
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

    def _connect(self, *, boot_id: str, now_ns: int) -> sqlite3.Connection:
        conn = open_file(self._path, boot_id=boot_id, now_ns=now_ns)
        try:
            self._mark.open(meta.get(conn, meta.OPENED) or "")
            backup.remove_all_parts(self._backups)
        except BaseException:
            conn.close()
            raise
        return conn

    def _tell_mark(self) -> None:
        if last := self._journal.written:
            self._mark.tell(last)

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
    incomplete = meta.get(conn, meta.INCOMPLETE)
    return Loaded(
        records=records,
        unreadable=unreadable,
        snapshots=catalog,
        unreadable_snapshots=unusable,
        incomplete=_UNSAID if incomplete is None else incomplete,
    )


def _complete(conn: sqlite3.Connection) -> None:
    meta.put(conn, meta.INCOMPLETE, "")
    reach("store.completed.written")


def _probe(conn: sqlite3.Connection) -> None:
    meta.put(conn, meta.PROBE, secrets.token_hex(8))
    reach("store.probe.written")


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
        reach("store.sandbox.written")
        end.append(conn, change.entries)
        reach("store.journal.written")
        operations.put(conn, outcomes)
        reach("store.operation.written")
        snapshots.put(conn, taken)
        reach("store.snapshot.written")

    return apply
