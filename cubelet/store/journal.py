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
from cubelet.crashpoints import reach
from cubelet.store import chain, codec, meta
from cubelet.store.limits import Keep

#: Lines that are looked at in one go.
SLICE_LINES = 10_000

_COLUMNS = """
seq, sandbox_id, incarnation, revision, epoch, at_ns, cause, before, after, op_id, detail
"""
_APPEND = f"""
INSERT INTO journal ({_COLUMNS}, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""  # noqa: S608  # Of our own columns.
_END = "SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1"
_UNLINKED = f"SELECT {_COLUMNS} FROM journal WHERE seq BETWEEN ? AND ? ORDER BY seq"  # noqa: S608
_SET_HASH = "UPDATE journal SET hash = ? WHERE seq = ?"
_OLDEST = "SELECT seq, at_ns FROM journal ORDER BY seq LIMIT ?"
_HASH = "SELECT hash FROM journal WHERE seq = ?"
_DROP = "DELETE FROM journal WHERE seq <= ?"
_SPAN = "SELECT (SELECT min(seq) FROM journal), (SELECT max(seq) FROM journal)"
_LINES = f"""
SELECT {_COLUMNS}, hash, (SELECT hash FROM journal AS older WHERE older.seq = journal.seq - 1)
FROM journal
WHERE seq BETWEEN ? AND ? AND (?3 = '' OR sandbox_id = ?3)
ORDER BY seq DESC LIMIT ?
"""  # noqa: S608  # Of our own columns.


class End:
    """The end of the chain, kept so that no commit has to look for it. Of the writer's thread."""

    def __init__(self) -> None:
        self._last: tuple[int, str] | None = None

    def append(self, conn: sqlite3.Connection, entries: Sequence[Entry]) -> None:
        """Write the lines behind those there are."""
        number, hash_ = self.last(conn)
        for entry in entries:
            number += 1
            line = _line(number, entry)
            hash_ = chain.link(hash_, line)
            conn.execute(_APPEND, (*line, hash_))
        self._last = number, hash_

    def last(self, conn: sqlite3.Connection) -> tuple[int, str]:
        """Number and hash of the last line, of those that were dropped too."""
        if self._last is None:
            found: tuple[int, str] | None = conn.execute(_END).fetchone()
            self._last = found or anchor(conn)
        return self._last

    @property
    def written(self) -> int:
        """The number of the last line; 0 where nobody has asked yet."""
        return self._last[0] if self._last is not None else 0

    def forget(self) -> None:
        """What was written last was rolled back."""
        self._last = None


def anchor(conn: sqlite3.Connection) -> tuple[int, str]:
    """Number and hash of the last line that was dropped."""
    return chain.parse_anchor(meta.get(conn, meta.ANCHOR))


def drop_oldest(conn: sqlite3.Connection, *, keep: Keep, now_ns: int, rows_max: int) -> int:
    """Drop so many of those that need not be kept; how many that were."""
    _, newest = conn.execute(_SPAN).fetchone()
    oldest = conn.execute(_OLDEST, (rows_max,))
    last = keep.last_to_go(oldest, newest=newest, now_ns=now_ns)
    if not last:
        return 0
    (hash_,) = conn.execute(_HASH, (last,)).fetchone()
    meta.put(conn, meta.ANCHOR, f"{last} {hash_}")
    reach("store.retain.anchored")
    dropped = conn.execute(_DROP, (last,)).rowcount
    reach("store.retain.lines")
    return dropped


def link_all(conn: sqlite3.Connection) -> None:
    """Give each line its hash, as if the oldest one were the first of all."""
    hash_ = chain.START
    for top in reversed(slices(conn)):
        lines = conn.execute(_UNLINKED, (top - SLICE_LINES + 1, top)).fetchall()
        if hash_ == chain.START:
            meta.put(conn, meta.ANCHOR, f"{lines[0][0] - 1} {hash_}")
        links = []
        for line in lines:
            hash_ = chain.link(hash_, line)
            links.append((hash_, line[0]))
        conn.executemany(_SET_HASH, links)


def slices(conn: sqlite3.Connection) -> range:
    """The highest number of each slice there is now, from the newest to the oldest."""
    oldest, newest = conn.execute(_SPAN).fetchone()
    return range(newest, oldest - 1, -SLICE_LINES) if newest is not None else range(0)


def lines(conn: sqlite3.Connection, sandbox_id: str, *, top: int, limit: int) -> list[Entry]:
    """The newest `limit` lines of one sandbox ("": of all) in the slice below `top`, newest first.

    Unreadable names a damaged line.
    """
    rows = conn.execute(_LINES, (top - SLICE_LINES + 1, top, sandbox_id, limit)).fetchall()
    return [_checked(conn, row) for row in rows]


def _line(number: int, entry: Entry) -> chain.Line:
    return (
        number,
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


def _checked(conn: sqlite3.Connection, row: Sequence[Any]) -> Entry:
    *line, hash_, older = row
    entry = _entry(line)
    try:
        before = anchor(conn)[1] if older is None else older
    except ValueError as problem:
        raise codec.Unreadable(str(problem)) from problem
    if chain.link(before, line) != hash_:
        raise codec.Unreadable(f"journal line {line[0]}: its hash does not fit, it was changed")
    return entry


def _entry(line: Sequence[Any]) -> Entry:
    seq, sandbox_id, incarnation, revision, epoch, at_ns, cause, before, after, op_id, detail = line
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
