"""The tables, as migrations that each run once and in one transaction with the note that they ran.

A migration that changes what an older agent would misread raises FORMAT and writes it to `meta`.
"""

from __future__ import annotations

from pathlib import Path

from sqlite_utils import Database, Migrations
from sqlite_utils.db import Table

from cubelet.core.faults import Code, CubeletError, Reason, error
from cubelet.store import journal, meta

#: The newest format that this agent reads; what it writes.
FORMAT = 2

migrations = Migrations("cubelet")


# Only the oldest rows of these are ever dropped, so the next number is always one more than the
# highest there was: AUTOINCREMENT would only cost another page with each change.
_NUMBERED = (
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
    _table(db, "meta").create({"key": str, "value": str}, pk="key", strict=True)
    _table(db, "sandboxes").create(
        {"id": str, "incarnation": str, "state": str, "revision": int, "body": str},
        pk="id",
        not_null={"id", "incarnation", "state", "revision", "body"},
        strict=True,
    )
    for statement in _NUMBERED:
        db.execute(statement)
    meta.put(db.conn, meta.FORMAT, "1")


@migrations()
def m002_chain(db: Database) -> None:
    """Each line of the journal has a hash; those from before get theirs, the first one's is new.

    Bodies with a checksum come with this format too, and those without are read as before.
    """
    db.execute("ALTER TABLE journal ADD COLUMN hash TEXT NOT NULL DEFAULT ''")
    journal.link_all(db.conn)
    meta.put(db.conn, meta.FORMAT, "2")


def refuse_foreign(db: Database, path: Path) -> None:
    """Raise FAILED_PRECONDITION for a newer format and for a file of somebody else. Only reads."""
    names = set(db.table_names()) - {migrations.migrations_table}
    if not names:
        return
    found = meta.get(db.conn, meta.FORMAT) if "meta" in names else None
    if found is None:
        raise _refused(f"{path} is a database, but not Cubelet's; name another state directory")
    if not found.isdecimal() or int(found) > FORMAT:
        raise _refused(
            f"{path} has format {found!r}, this agent reads up to {FORMAT}; nothing was changed: "
            "start the newer agent, or name another state directory"
        )


def _refused(message: str) -> CubeletError:
    return error(Code.FAILED_PRECONDITION, Reason.STORE_FAILED, message)


def _table(db: Database, name: str) -> Table:
    table = db[name]
    assert isinstance(table, Table)  # noqa: S101  # Narrows the type: a name never seen is no view.
    return table
