"""What is wrong with a store's file as a whole: looked for at every opening, before any write.

A row that cannot be read is no damage of the file: it is told by its name and the rest is good.
"""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from sqlite_utils import Database

from cubelet.store import journal, mark, meta, schema

#: What SQLite reports of the machine. Anything else that it says of a file is damage of that.
_ELSEWHERE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
_NAMES = {getattr(sqlite3, name): name for name in ("SQLITE_IOERR", "SQLITE_NOMEM", "SQLITE_BUSY")}
_CODE = re.compile(r"error code=(\d+)")
_MAGIC = b"SQLite format 3\0"
#: Where the header says how the file is to be read and written: 1 in place, 2 by a log beside.
_MODES = slice(18, 20)
_IN_PLACE, _BY_LOG = b"\x01\x01", b"\x02\x02"


def is_damage(problem: sqlite3.Error | ValueError) -> bool:
    """Whether the file that was read is damaged, and not only out of reach.

    ValueError: a fact in it is none, or SQLite's message quotes what is no text.
    """
    return getattr(problem, "sqlite_errorcode", 0) & 0xFF not in _ELSEWHERE


def in_header(path: Path) -> str:
    """What is wrong with the file's first bytes, "" where nothing is. OSError."""
    head = _head(path)
    if not head:
        return "it is empty"
    if not head.startswith(_MAGIC):
        return "it is no database"
    if head[_MODES] not in {_IN_PLACE, _BY_LOG}:
        return "its header has no mode of writing that there is"
    return ""


def has_a_log(path: Path) -> bool:
    """Whether the header says that changes go to a write-ahead log, as it does once we wrote it."""
    return _head(path)[_MODES] == _BY_LOG


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MODES.stop)


def in_contents(conn: sqlite3.Connection, path: Path, boot_id: str) -> str:
    """What is wrong with all the rest, "" where nothing is. Only reads.

    SQLite's own check reads the whole file: 0.2 s for 90 MB from the page cache. It is the only one
    that sees a page with two owners, which the next write to one table would tear out of another.
    """
    misfit = schema.misfit(Database(conn, execute_plugins=False))
    if misfit:
        return misfit
    return checked(conn) or missing(conn, path, boot_id)


def checked(conn: sqlite3.Connection) -> str:
    """What SQLite's own check finds, "" for nothing. sqlite3.Error where the file is out of reach.

    A page that it could not have it reports as one that is damaged, with the reason's number.
    """
    (found,) = conn.execute("PRAGMA integrity_check(1)").fetchone()
    if found == "ok":
        return ""
    what = " ".join(str(found).split())
    problem = sqlite3.OperationalError(what)
    problem.sqlite_errorcode = int(_CODE.findall(what)[-1]) if _CODE.search(what) else 0
    problem.sqlite_errorname = _NAMES.get(problem.sqlite_errorcode & 0xFF, "")
    if not is_damage(problem):
        raise problem
    return what


def missing(conn: sqlite3.Connection, path: Path, boot_id: str) -> str:
    """What is lost of the changes that somebody was told of in this boot, "" where nothing is."""
    told, opening = mark.read(path), meta.get(conn, meta.OPENED)
    if told is None or told.opening != opening or not opening.startswith(f"{boot_id} "):
        return ""
    seq, _ = journal.End().last(conn)
    if seq >= told.seq:
        return ""
    return f"its journal ends at line {seq}, and line {told.seq} was written: changes are lost"
