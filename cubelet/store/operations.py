"""Table `operations`: what requests with a key were answered, for when they are sent again.

The newest `Limits.outcomes` are kept, whatever their age: an answer is forgotten only where so many
came after it, so a node with fewer than that a day remembers each for longer than a day. A rule by
count needs no clock, which may jump, and no search: numbers have no gaps, and each new outcome
drops the one so far behind it.

The first answer of a key stands, because somebody was told it. The core writes no second one while
the first is remembered; if a bug makes it, that is logged, and the rest of the change is written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import structlog

from cubelet.core.model import Outcome
from cubelet.store import codec

_PUT = """
INSERT INTO operations (sandbox_id, key, op_id, at_ns, body) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (sandbox_id, key) DO NOTHING
"""
_TRIM = "DELETE FROM operations WHERE seq <= ?"
_GET = "SELECT body FROM operations WHERE sandbox_id = ? AND key = ?"

_log = structlog.get_logger("cubelet.store")

Row = tuple[str, str, str, int, str]


def row(outcome: Outcome) -> Row:
    """The row of an outcome. ValueError as of `codec.encode`."""
    return (
        outcome.sandbox_id,
        outcome.key.value,
        outcome.op_id,
        outcome.at_ns,
        codec.encode(outcome),
    )


def put(conn: sqlite3.Connection, rows: Sequence[Row], *, outcomes_max: int) -> None:
    """Write those whose key has no outcome yet, then drop the oldest beyond `outcomes_max`."""
    seq = 0
    for it in rows:
        written = conn.execute(_PUT, it)
        if written.rowcount:
            seq = written.lastrowid or 0
        else:
            told_again(it[0], it[1])
    if seq > outcomes_max:
        conn.execute(_TRIM, (seq - outcomes_max,))


def get(conn: sqlite3.Connection, sandbox_id: str, key: str) -> Outcome | None:
    """The outcome of this key; Unreadable names one that is damaged, which is not None."""
    found = conn.execute(_GET, (sandbox_id, key)).fetchone()
    if found is None:
        return None
    try:
        outcome = codec.decode(found[0], codec.OUTCOME)
    except codec.Unreadable as problem:
        raise codec.Unreadable(f"key {key!r} of sandbox {sandbox_id}: {problem}") from problem
    if (outcome.sandbox_id, outcome.key.value) != (sandbox_id, key):
        raise codec.Unreadable(f"key {key!r} of sandbox {sandbox_id}: it is another one's outcome")
    return outcome


def told_again(sandbox_id: str, key: str) -> None:
    """Say that a second outcome of a key was not kept."""
    _log.error("outcome_not_kept", sandbox=sandbox_id, key=key, reason="the key has one already")
