"""Table `snapshots`: the catalog. An entry is written once and never changed.

A name that is taken refuses the whole change. Whichever of two snapshots of one name were kept, a
sandbox bound to the other would be committed upon a wrong base; a refused change leaves a commit
that failed. The core refuses such a name before, unless the entry cannot be read: that one is in no
catalog, so that nothing is built upon it, and its name stays taken.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from cubelet.core.bindings import Snapshot
from cubelet.store import codec
from cubelet.store.problems import snapshot_taken

_ALL = "SELECT id, body FROM snapshots ORDER BY seq"
_PUT = """
INSERT INTO snapshots (id, sandbox_id, created_at_ns, body) VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING
"""

Row = tuple[str, str, int, str]


def row(snapshot: Snapshot) -> Row:
    """The row of an entry. ValueError as of `codec.encode`."""
    return snapshot.id, snapshot.sandbox_id, snapshot.created_at_ns, codec.encode(snapshot)


def put(conn: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Write the entries; CubeletError where a name is taken."""
    for it in rows:
        if not conn.execute(_PUT, it).rowcount:
            raise snapshot_taken(it[0])


def load(conn: sqlite3.Connection) -> tuple[tuple[Snapshot, ...], dict[str, str]]:
    """All entries, oldest first, and why each row that is none cannot be read."""
    return codec.decode_rows(conn.execute(_ALL), codec.SNAPSHOT)
