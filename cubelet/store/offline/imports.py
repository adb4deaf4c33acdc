"""A store made of an export or of a copy: all of it is checked, and there is a store or nothing.

What was made after the one or the other was is not in it. So the new store says that it may not
know every sandbox that lives here, and the agent that opens it asks for them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from sqlite_utils import Database

from cubelet.core.faults import Code, Reason, error
from cubelet.store import meta, replacement, schema
from cubelet.store.offline import readonly
from cubelet.store.offline.reader import ExportReader
from cubelet.store.offline.rows import name_of
from cubelet.store.offline.verify import verify_sound
from cubelet.store.offline.whole import whole_file
from cubelet.store.problems import fault_of

#: What a file of SQLite begins with (sqlite.org/fileformat.html).
_MAGIC = b"SQLite format 3\0"
_COPIED = "it was made of a copy, which has nothing newer"


def import_store(source: Path, target: Path) -> Mapping[str, int]:
    """Make a store (mode 0600) of an export or a backup; how many rows of each table it has.

    CubeletError, and nothing was made: ALREADY_EXISTS where there is a store; INVALID_ARGUMENT with
    line and reason where an export is not whole and sound; FAILED_PRECONDITION where a backup is
    not, or the source is of a newer Cubelet; UNAVAILABLE where one of the files is out of reach.
    """
    _refuse_what_is_there(target)
    try:
        file = source.open("rb")
    except OSError as problem:
        raise fault_of(problem, source, doing="read") from problem
    try:
        with file:
            if file.peek(len(_MAGIC)).startswith(_MAGIC):
                return _copied(source, target)
            return _filled(ExportReader(source, file), target)
    except (OSError, sqlite3.Error) as problem:
        raise fault_of(problem, target, doing="write to") from problem


def _refuse_what_is_there(target: Path) -> None:
    """A log alone is a store too, and so is the new file of a replacement that was decided."""
    log = target.with_name(target.name + "-wal")
    for there in (target, log, *replacement.begun(target)):
        if there.exists():
            message = f"there is a store already, {there}; move it away, or name another directory"
            raise error(Code.ALREADY_EXISTS, Reason.STORE_FAILED, message)


def _copied(source: Path, target: Path) -> Mapping[str, int]:
    report = verify_sound(source, otherwise="nothing was imported")
    # Here and below the connection is closed before the file is moved to its place.
    with (
        readonly.opened(source) as db,
        whole_file(target) as part,
        closing(_unsynced(part)) as conn,
    ):
        db.conn.backup(conn)
        conn.execute("PRAGMA journal_mode = DELETE")  # So that all of it is in the one file.
        _tell(conn, _COPIED)
    return report.counts


def _filled(reader: ExportReader, target: Path) -> Mapping[str, int]:
    with whole_file(target) as part, closing(_unsynced(part)) as conn:
        schema.migrations.apply(Database(conn, execute_plugins=False))
        conn.execute("BEGIN")
        conn.execute("DELETE FROM meta")
        for row in reader.rows():
            columns = row.__struct_fields__
            marks = ", ".join("?" * len(columns))
            names = ", ".join(columns)
            statement = f"INSERT INTO {name_of(row)} ({names}) VALUES ({marks})"  # noqa: S608
            try:
                conn.execute(statement, [getattr(row, column) for column in columns])
            except sqlite3.IntegrityError as problem:
                reader.refuse(str(problem))
        _tell(conn, reader.missing)
        conn.execute("COMMIT")
    return reader.audit.counts


def _tell(conn: sqlite3.Connection, missing: str) -> None:
    """Note what the store may lack, and that no agent has opened this very file yet."""
    meta.put(conn, meta.INCOMPLETE, missing)
    meta.put(conn, meta.OPENED, "")


def _unsynced(part: Path) -> sqlite3.Connection:
    """A file that is not finished is thrown away; a finished one is synced by who moves it."""
    conn = sqlite3.connect(part, isolation_level=None)
    conn.executescript("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;")
    return conn
