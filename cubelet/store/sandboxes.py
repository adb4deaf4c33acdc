"""Table `sandboxes`: one row per record; the body is the truth, the columns are for people."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from cubelet.core.model import Record
from cubelet.engine.ports import Loaded
from cubelet.store import codec

_ALL = "SELECT id, body FROM sandboxes ORDER BY id"
_PUT = """
INSERT INTO sandboxes (id, incarnation, state, revision, body) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    incarnation = excluded.incarnation, state = excluded.state,
    revision = excluded.revision, body = excluded.body
"""
_REMOVE = "DELETE FROM sandboxes WHERE id = ?"


@dataclass(frozen=True, slots=True)
class Row:
    """A record, encoded before it goes to the writer thread."""

    id: str
    incarnation: str
    state: str
    revision: int
    body: str


def row(record: Record) -> Row:
    """The row of a record. ValueError where a text in it is not Unicode."""
    return Row(
        record.id,
        record.incarnation,
        record.state.value,
        record.revision,
        codec.encode(record).decode(),
    )


def put(conn: sqlite3.Connection, it: Row) -> None:
    """Write the row in the place of what is there."""
    conn.execute(_PUT, (it.id, it.incarnation, it.state, it.revision, it.body))


def remove(conn: sqlite3.Connection, sandbox_id: str) -> None:
    """Remove the row; nothing happens where there is none."""
    conn.execute(_REMOVE, (sandbox_id,))


def load(conn: sqlite3.Connection) -> Loaded:
    """All records, and why each row that is none cannot be read."""
    records: list[Record] = []
    unreadable: dict[str, str] = {}
    for sandbox_id, body in conn.execute(_ALL):
        try:
            records.append(_same_id(sandbox_id, codec.decode(body)))
        except codec.Unreadable as problem:
            unreadable[sandbox_id] = str(problem)
    return Loaded(records=tuple(records), unreadable=unreadable)


def _same_id(sandbox_id: str, record: Record) -> Record:
    if record.id != sandbox_id:
        raise codec.Unreadable(f"the record inside is that of {record.id!r}")
    return record
