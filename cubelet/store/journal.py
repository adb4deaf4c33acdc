"""Table `journal`: what happened to each sandbox, in the order in which it was written."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from cubelet.core.effects import Entry
from cubelet.core.inputs import Cause
from cubelet.core.model import State
from cubelet.store import codec

#: Lines kept, of all sandboxes together; each new one drops the oldest beyond that. About 40 MB.
ENTRIES_MAX = 200_000

_APPEND = """
INSERT INTO journal
    (sandbox_id, incarnation, revision, epoch, at_ns, cause, before, after, op_id, detail)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_TRIM = "DELETE FROM journal WHERE seq <= ?"
_NEWEST = """
SELECT seq, sandbox_id, incarnation, revision, epoch, at_ns, cause, before, after, op_id, detail
FROM journal WHERE sandbox_id = ? ORDER BY seq DESC LIMIT ?
"""


def append(conn: sqlite3.Connection, entries: Sequence[Entry], *, entries_max: int) -> None:
    """Write the lines, then drop the oldest ones beyond `entries_max`."""
    seq = 0
    for entry in entries:
        seq = conn.execute(_APPEND, _values(entry)).lastrowid or 0
    if seq > entries_max:
        conn.execute(_TRIM, (seq - entries_max,))


def newest(conn: sqlite3.Connection, sandbox_id: str, limit: int) -> tuple[Entry, ...]:
    """The newest `limit` lines of one sandbox, oldest first; Unreadable names a damaged line."""
    rows = conn.execute(_NEWEST, (sandbox_id, max(limit, 0))).fetchall()
    return tuple(_entry(row) for row in reversed(rows))


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
