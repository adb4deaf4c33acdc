"""How the store's file is opened: looked at, put aside where it is damaged, and brought up to date.

All in the writer's thread. Before it is known that the file is ours, of a format that we read, and
whole, nothing is written to it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

from cubelet.core.faults import Code, Reason, error
from cubelet.crashpoints import reach
from cubelet.store import damage, meta, replacement, schema

# EXCLUSIVE: no second connection, of whatever program, can open the file while the agent runs.
_PRAGMAS = (
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
)


def open_file(path: Path, *, boot_id: str, now_ns: int) -> sqlite3.Connection:
    """The one connection; the file is made where there is none, and where it is damaged.

    CubeletError (FAILED_PRECONDITION) where it is of a newer format or not ours, sqlite3.Error and
    OSError where it cannot be had; nothing has been changed then.
    """
    reach("store.open.begun")
    replacement.carry_on(path)
    why = _look(path, boot_id)
    reach("store.open.looked")
    if why:
        replacement.replace(path, why, now_ns=now_ns)
    conn = sqlite3.connect(path, isolation_level=None)
    try:
        _prepare(conn, boot_id=boot_id)
    except BaseException:
        conn.close()
        raise
    reach("store.open.done")
    return conn


def _look(path: Path, boot_id: str) -> str:
    """Why there has to be a new file; "" where this one is good."""
    log = path.with_name(path.name + "-wal")
    waiting = log.exists() and log.stat().st_size > 0
    if not path.exists():
        return "there was no file, only its write-ahead log" if waiting else "there was no file"
    _open_to_write(path, log)
    found = damage.in_header(path)
    if not found:
        if waiting:
            _refuse_strange_log(path, log)
        found = _read(path, boot_id, waiting=waiting)
    return found and f"the file was damaged: {found}"


def _read(path: Path, boot_id: str, *, waiting: bool) -> str:
    with _only_reading(path, waiting=waiting) as conn:
        try:
            schema.refuse_foreign(Database(conn, execute_plugins=False), path)
            return damage.in_contents(conn, path, boot_id)
        except (sqlite3.Error, ValueError) as problem:
            if not damage.is_damage(problem):
                raise
            return str(problem)


@contextmanager
def _only_reading(path: Path, *, waiting: bool) -> Iterator[sqlite3.Connection]:
    """Where nothing waits in a write-ahead log, "immutable" reads the file without a trace."""
    how = "mode=ro" if waiting else "immutable=1"
    if waiting and path.with_name(path.name + "-journal").exists():
        # The power went as the file got its log. SQLite takes that back before anybody may read.
        how = "mode=rw"
    address = f"{path.absolute().as_uri()}?{how}"
    index = path.with_name(path.name + "-shm")
    had_one = index.exists()
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True, isolation_level=None)) as conn:
            _set_text(conn)
            yield conn
    finally:
        if not had_one:  # SQLite makes one to read a log, and leaves it.
            index.unlink(missing_ok=True)


def _open_to_write(*paths: Path) -> None:
    """Raise what is in the way: SQLite would read on where it cannot write, and say less."""
    for path in paths:
        if path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))


def _refuse_strange_log(path: Path, log: Path) -> None:
    if damage.has_a_log(path):
        return
    message = (
        f"{path} is a copy that was put beside {log.name}, the log of another file; nothing was "
        f"changed: move {log.name} away, and start again"
    )
    raise error(Code.FAILED_PRECONDITION, Reason.STORE_FAILED, message)


def _prepare(conn: sqlite3.Connection, *, boot_id: str) -> None:
    _set_text(conn)
    for pragma in _PRAGMAS:
        conn.execute(pragma).fetchall()
        reach("store.open.pragma")
    schema.migrations.apply(Database(conn, execute_plugins=False))
    reach("store.open.migrated")
    meta.put(conn, meta.BOOT_ID, boot_id)
    reach("store.open.boot")
    meta.put(conn, meta.OPENED, f"{boot_id} {secrets.token_hex(8)}")
    reach("store.open.noted")
    # From here on the log holds only what this opening wrote, and the file says which one that is.
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _set_text(conn: sqlite3.Connection) -> None:
    # A text that is not UTF-8 must spoil its own row only: it comes as one that no codec takes.
    conn.text_factory = lambda data: data.decode(errors="backslashreplace")
