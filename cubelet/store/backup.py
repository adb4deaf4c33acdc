"""A copy of the store that is made while it is in use.

The pages go over a few at a time, in the writer's thread, and changes get their turn in between:
what they change behind the copy is copied once more by SQLite, so that the copy is the store as it
is at the copy's end. It lies beside under another name until it is whole, checked and synced.
"""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Callable
from pathlib import Path

from cubelet.crashpoints import reach
from cubelet.store import files, meta
from cubelet.store.problems import closed

#: Pages that are copied in one go, 512 KB: about a millisecond for those who wait.
STEP_PAGES = 128
PART = ".part"
_WHY_INCOMPLETE = "it was put in place from a backup"


def begin(target: Path) -> Path:
    """Make an empty file beside `target` for the copy, and the directory for both."""
    target.parent.mkdir(mode=0o700, exist_ok=True)
    part = target.with_name(target.name + PART)
    remove(part)
    files.make_private(part)
    reach("store.backup.begun")
    return part


def copy(conn: sqlite3.Connection, part: Path, *, between: Callable[[], bool]) -> None:
    """Copy all pages; `between` is called after each step, and says whether to go on."""

    def go_on(status: int, *_: int) -> None:
        # Python would ask for ever.
        if status in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise _busy(part)
        reach("store.backup.step")
        if not between():
            raise closed()

    with contextlib.closing(_unsynced(part)) as target:
        conn.backup(target, pages=STEP_PAGES, progress=go_on)
    reach("store.backup.copied")


def finish(part: Path, target: Path) -> int:
    """Check the copy, sync it and give it its name; its size."""
    with contextlib.closing(_unsynced(part)) as conn:
        # One file that needs no other beside it.
        conn.execute("PRAGMA journal_mode = DELETE")
        (found,) = conn.execute("PRAGMA quick_check(1)").fetchone()
        if found == "ok":
            # Where it takes the store's place there may be sandboxes that came after it.
            meta.put(conn, meta.INCOMPLETE, _WHY_INCOMPLETE)
            meta.put(conn, meta.OPENED, "")
    if found != "ok":
        what = " ".join(str(found).split())
        message = f"the copy is damaged, and so may be what was copied: {what}"
        raise sqlite3.DatabaseError(message)
    reach("store.backup.checked")
    files.sync(part)
    reach("store.backup.synced")
    size = part.stat().st_size
    part.rename(target)
    try:
        reach("store.backup.named")
        files.sync(target.parent)
        files.sync(target.parent.parent)
    except OSError:
        # It may be gone after a power cut, so nobody may be told that it is there.
        target.unlink()
        raise
    return size


def remove(part: Path) -> None:
    """Remove what a copy that was cut short has left. OSError."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        part.with_name(part.name + suffix).unlink(missing_ok=True)


def remove_all_parts(folder: Path) -> None:
    """Remove what backups left whose agent died. OSError."""
    for left in folder.glob(f"*{PART}*"):
        left.unlink(missing_ok=True)


def _busy(part: Path) -> OSError:
    return OSError(errno.EBUSY, "another program holds the copy open", str(part))


def _unsynced(part: Path) -> sqlite3.Connection:
    conn = sqlite3.connect(part, isolation_level=None)
    conn.execute("PRAGMA synchronous = OFF")
    return conn
