"""Table `journal`: what happened to each sandbox, in the order in which it was written.

It has no index by sandbox: one would cost each change two more pages, of its own line and of the
oldest that goes (142 pages against 11 for 64 changes in one transaction), while the lines of one
sandbox are asked for by people. Those are found by reading backwards, a slice at a time, so that
changes get their turn in between: 2 ms a slice, 40 ms for a full journal from the page cache.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from cubelet.core.effects import Entry
from cubelet.core.inputs import Cause
from cubelet.core.model import State
from cubelet.store import codec
from cubelet.store.limits import Keep

#: Lines that are looked at in one go.
SLICE_LINES = 10_000

_APPEND = """
INSERT INTO journal
    (sandbox_id, incarnation, revision, epoch, at_ns, cause, before, after, op_id, detail)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_OLDEST = "SELECT seq, at_ns FROM journal ORDER BY seq LIMIT ?"
_NEWEST = "SELECT max(seq) FROM journal"
_DROP = "DELETE FROM journal WHERE seq <= ?"
_SPAN = "SELECT (SELECT min(seq) FROM journal), (SELECT max(seq) FROM journal)"
_LINES = """
SELECT seq, sandbox_id, incarnation, revision, epoch, at_ns, cause, before, after, op_id, detail
FROM journal
WHERE seq BETWEEN ? AND ? AND (?3 = '' OR sandbox_id = ?3)
ORDER BY seq DESC LIMIT ?
"""


def append(conn: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """Write the lines."""
    for entry in entries:
        conn.execute(_APPEND, _values(entry))


def drop_oldest(conn: sqlite3.Connection, *, keep: Keep, now_ns: int, rows_max: int) -> int:
    """Drop so many of those that need not be kept; how many that were."""
    (newest,) = conn.execute(_NEWEST).fetchone()
    oldest = conn.execute(_OLDEST, (rows_max,))
    last = keep.last_to_go(oldest, newest=newest, now_ns=now_ns)
    return conn.execute(_DROP, (last,)).rowcount if last else 0


def slices(conn: sqlite3.Connection) -> range:
    """The highest number of each slice there is now, from the newest to the oldest."""
    oldest, newest = conn.execute(_SPAN).fetchone()
    return range(newest, oldest - 1, -SLICE_LINES) if newest is not None else range(0)


def lines(conn: sqlite3.Connection, sandbox_id: str, *, top: int, limit: int) -> list[Entry]:
    """The newest `limit` lines of one sandbox ("": of all) in the slice below `top`, newest first.

    Unreadable names a damaged line.
    """
    rows = conn.execute(_LINES, (top - SLICE_LINES + 1, top, sandbox_id, limit))
    return [_entry(row) for row in rows]


def _values(entry: Entry) -> tuple[Any, ...]:
    return (
        entry.sandbox_id,
        entry.incarnation,
        entry.revision,
        entry.epoch,
        entry.at_ns,
        entry.cause.value,
        entry.before.value if entry.before else None,
        entry.after.value,
        entry.op_id,
        entry.detail,
    )


def _entry(row: Sequence[Any]) -> Entry:
    seq, sandbox_id, incarnation, revision, epoch, at_ns, cause, before, after, op_id, detail = row
    try:
        return Entry(
            sandbox_id=sandbox_id,
            incarnation=incarnation,
            revision=revision,
            epoch=epoch,
            at_ns=at_ns,
            cause=Cause(cause),
            before=State(before) if before is not None else None,
            after=State(after),
            op_id=op_id,
            detail=detail,
        )
    except ValueError as problem:
        raise codec.Unreadable(f"journal line {seq}: {problem}") from problem
