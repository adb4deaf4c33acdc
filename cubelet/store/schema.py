"""The tables, as migrations that each run once and in one transaction with the note that they ran.

A migration that changes what an older agent would misread raises FORMAT and writes it to `meta`.
"""

from __future__ import annotations

from pathlib import Path

from sqlite_utils import Database, Migrations
from sqlite_utils.db import Table

from cubelet.core.faults import Code, CubeletError, Reason, error
from cubelet.crashpoints import reach
from cubelet.store import journal, meta

#: The newest format that this agent reads; what it writes.
FORMAT = 2

migrations = Migrations("cubelet")

#: The migrations that made a format, and which.
_FORMATS = {"m001_first": "1", "m002_chain": "2"}
#: What is read and written.
_COLUMNS = {
    "meta": frozenset({"key", "value"}),
    "sandboxes": frozenset({"id", "incarnation", "state", "revision", "body"}),
    "journal": frozenset(
        {"seq", "sandbox_id", "incarnation", "revision", "epoch", "at_ns", "cause"}
        | {"before", "after", "op_id", "detail", "hash"}
    ),
    "operations": frozenset({"seq", "sandbox_id", "key", "op_id", "at_ns", "body"}),
    "snapshots": frozenset({"seq", "id", "sandbox_id", "created_at_ns", "body"}),
}
#: What an older format has not.
_SINCE = {"1": frozenset({"hash"})}
#: So many of our tables tell that a file is ours.
_OURS_MIN = 3


# Plain statements: where the disk fails as sqlite-utils tries out what SQLite can do, it takes that
# for an answer, and makes tables that are not strict. Of those with a number only the oldest rows
# are ever dropped, so the next number is always one more than the highest there was: AUTOINCREMENT
# would only cost another page with each change.
_FIRST = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT) STRICT",
    """
    CREATE TABLE sandboxes (
        id TEXT PRIMARY KEY NOT NULL,
        incarnation TEXT NOT NULL,
        state TEXT NOT NULL,
        revision INTEGER NOT NULL,
        body TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE journal (
        seq INTEGER PRIMARY KEY,
        sandbox_id TEXT NOT NULL,
        incarnation TEXT NOT NULL,
        revision INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        at_ns INTEGER NOT NULL,
        cause TEXT NOT NULL,
        before TEXT,
        after TEXT NOT NULL,
        op_id TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE operations (
        seq INTEGER PRIMARY KEY,
        sandbox_id TEXT NOT NULL,
        key TEXT NOT NULL,
        op_id TEXT NOT NULL,
        at_ns INTEGER NOT NULL,
        body TEXT NOT NULL,
        UNIQUE (sandbox_id, key)
    ) STRICT
    """,
    """
    CREATE TABLE snapshots (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        sandbox_id TEXT NOT NULL,
        created_at_ns INTEGER NOT NULL,
        body TEXT NOT NULL
    ) STRICT
    """,
)


@migrations()
def m001_first(db: Database) -> None:
    """Records, journal, outcomes, the catalog and the facts about the file itself."""
    for statement in _FIRST:
        db.execute(statement)
    meta.put(db.conn, meta.FORMAT, "1")
    reach("store.migrate.first")


@migrations()
def m002_chain(db: Database) -> None:
    """Each line of the journal has a hash; those from before get theirs, the first one's is new.

    Bodies with a checksum come with this format too, and those without are read as before.
    """
    db.execute("ALTER TABLE journal ADD COLUMN hash TEXT NOT NULL DEFAULT ''")
    reach("store.migrate.column")
    journal.link_all(db.conn)
    reach("store.migrate.linked")
    meta.put(db.conn, meta.INCOMPLETE, "")
    meta.put(db.conn, meta.FORMAT, "2")
    reach("store.migrate.chain")


def refuse_foreign(db: Database, path: Path) -> None:
    """Raise FAILED_PRECONDITION for a newer format and for a file of somebody else. Only reads.

    What has most of our tables is ours, and damaged where it does not say its format. What has none
    at all is nobody's.
    """
    names = set(db.table_names()) - {migrations.migrations_table}
    if names and len(names & _COLUMNS.keys()) < _OURS_MIN:
        raise _refused(f"{path} is a database, but not Cubelet's; name another state directory")
    found = meta.get(db.conn, meta.FORMAT) or ""
    if found.isdecimal() and int(found) > FORMAT:
        raise _refused(
            f"{path} has format {found!r}, this agent reads up to {FORMAT}; nothing was changed: "
            "start the newer agent, or name another state directory"
        )


def misfit(db: Database) -> str:
    """What our tables lack, or say of themselves that cannot be; "" where all is as it was made."""
    missing = _COLUMNS.keys() - set(db.table_names())
    if missing:
        return f"no table {min(missing)}"
    found = meta.get(db.conn, meta.FORMAT) or ""
    if found not in _FORMATS.values():
        return f"it says that its format is {found!r}"
    expected = {name for name, made in _FORMATS.items() if int(made) <= int(found)}
    if {one.name for one in migrations.applied(db)} & _FORMATS.keys() != expected:
        return f"it says that its format is {found}, and not how it came to that"
    for table, columns in _COLUMNS.items():
        there = {column.name for column in _table(db, table).columns}
        lost = columns - there - _SINCE.get(found, frozenset())
        if lost:
            return f"table {table} has no {min(lost)}"
    return ""


def _refused(message: str) -> CubeletError:
    return error(Code.FAILED_PRECONDITION, Reason.STORE_FAILED, message)


def _table(db: Database, name: str) -> Table:
    table = db[name]
    assert isinstance(table, Table)  # noqa: S101  # Narrows the type: a name never seen is no view.
    return table
