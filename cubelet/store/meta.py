"""Table `meta`: facts about the file itself, as text."""

from __future__ import annotations

import sqlite3

FORMAT = "format"
#: The kernel's boot id at the last opening: monotonic stamps of another boot mean nothing.
BOOT_ID = "boot_id"
CREATED_AT_NS = "created_at_ns"
#: Why sandboxes may live here that have no row; there is no such row where all have one.
INCOMPLETE = "incomplete"
#: Counts the probes, so that each one writes something.
PROBES = "probes"
#: Number and hash of the last line of the journal that was dropped, "SEQ HASH".
ANCHOR = "anchor"

_GET = "SELECT value FROM meta WHERE key = ?"
_PUT = "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = ?2"
_PUT_ONCE = "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO NOTHING"

_DROP = "DELETE FROM meta WHERE key = ?"


def get(conn: sqlite3.Connection, key: str) -> str | None:
    """The value, or None where there is none."""
    row = conn.execute(_GET, (key,)).fetchone()
    return None if row is None else str(row[0])


def put(conn: sqlite3.Connection, key: str, value: str) -> None:
    """Set the value."""
    conn.execute(_PUT, (key, value))


def put_once(conn: sqlite3.Connection, key: str, value: str) -> None:
    """Set the value unless there is one."""
    conn.execute(_PUT_ONCE, (key, value))


def drop(conn: sqlite3.Connection, key: str) -> None:
    """Remove the value; nothing happens where there is none."""
    conn.execute(_DROP, (key,))
