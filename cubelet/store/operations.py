"""Table `operations`: what requests with a key were answered, for when they are sent again.

The first answer of a key stands, because somebody was told it. The core writes no second one while
the first is remembered; if a bug makes it, that is logged, and the rest of the change is written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import structlog

from cubelet.core.model import Outcome
from cubelet.crashpoints import reach
from cubelet.store import codec
from cubelet.store.limits import Keep

_PUT = """
INSERT INTO operations (sandbox_id, key, op_id, at_ns, body) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (sandbox_id, key) DO NOTHING
"""
_OLDEST = "SELECT seq, at_ns FROM operations ORDER BY seq LIMIT ?"
_NEWEST = "SELECT max(seq) FROM operations"
_DROP = "DELETE FROM operations WHERE seq <= ?"
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


def put(conn: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Write those whose key has no outcome yet."""
    for it in rows:
        if not conn.execute(_PUT, it).rowcount:
            told_again(it[0], it[1])


def drop_oldest(conn: sqlite3.Connection, *, keep: Keep, now_ns: int, rows_max: int) -> int:
    """Drop so many of those that need not be kept; how many that were."""
    (newest,) = conn.execute(_NEWEST).fetchone()
    oldest = conn.execute(_OLDEST, (rows_max,))
    last = keep.last_to_go(oldest, newest=newest, now_ns=now_ns)
    if not last:
        return 0
    dropped = conn.execute(_DROP, (last,)).rowcount
    reach("store.retain.answers")
    return dropped


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
