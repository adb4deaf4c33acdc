"""Table `meta`: facts about the file itself, as text."""

from __future__ import annotations

import sqlite3

FORMAT = "format"
#: The kernel's boot id at the last opening: monotonic stamps of another boot mean nothing.
BOOT_ID = "boot_id"
CREATED_AT_NS = "created_at_ns"
#: The kernel's boot id and a random number: which opening of the file was the last.
OPENED = "opened"
#: Why sandboxes may live here that have no row; "" where all have one. A file where this is missing
#: says nothing of the kind.
INCOMPLETE = "incomplete"
#: Another text with each probe: what does not change SQLite does not write.
PROBE = "probe"
#: Number and hash of the last line of the journal that was dropped, "SEQ HASH".
ANCHOR = "anchor"

_GET = "SELECT value FROM meta WHERE key = ?"
_PUT = "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = ?2"


def get(conn: sqlite3.Connection, key: str) -> str | None:
    """The value, or None where there is none."""
    row = conn.execute(_GET, (key,)).fetchone()
    return None if row is None else str(row[0])


def put(conn: sqlite3.Connection, key: str, value: str) -> None:
    """Set the value."""
    conn.execute(_PUT, (key, value))
