"""Table `sandboxes`: one row per record; the body is the truth, the columns are for people."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from cubelet.core.model import Record
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
    """The row of a record. ValueError as of `codec.encode`."""
    return Row(
        record.id,
        record.incarnation,
        record.state.value,
        record.revision,
        codec.encode(record),
    )


def put(conn: sqlite3.Connection, it: Row) -> None:
    """Write the row in the place of what is there."""
    conn.execute(_PUT, (it.id, it.incarnation, it.state, it.revision, it.body))


def remove(conn: sqlite3.Connection, sandbox_id: str) -> None:
    """Remove the row; nothing happens where there is none."""
    conn.execute(_REMOVE, (sandbox_id,))


def load(conn: sqlite3.Connection) -> tuple[tuple[Record, ...], dict[str, str]]:
    """All records, and by id why each row that is none cannot be read."""
    return codec.decode_rows(conn.execute(_ALL), codec.RECORD)
