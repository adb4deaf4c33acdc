"""What SQLite reports, as faults that name the file and the way out."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from cubelet.core.faults import Code, CubeletError, Reason, error
from cubelet.engine.ports import StoreFailed

_ADVICE = {
    sqlite3.SQLITE_FULL: "free space on its file system; nothing needs a restart",
    sqlite3.SQLITE_READONLY: "make the file and its directory writable for the agent",
    sqlite3.SQLITE_PERM: "make the file and its directory writable for the agent",
    sqlite3.SQLITE_CANTOPEN: "check that its directory exists and belongs to the agent",
    sqlite3.SQLITE_BUSY: "another program holds the file open, close that",
    sqlite3.SQLITE_LOCKED: "another program holds the file open, close that",
    sqlite3.SQLITE_IOERR: "check the disk, its free space and the kernel's log",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: restart the agent, it keeps it and begins anew",
    sqlite3.SQLITE_NOTADB: "the file is damaged: restart the agent, it keeps it and begins anew",
}
#: The same troubles where the operating system reports them itself, while the file is made.
_SAME = {
    errno.ENOSPC: sqlite3.SQLITE_FULL,
    errno.EDQUOT: sqlite3.SQLITE_FULL,
    errno.EROFS: sqlite3.SQLITE_READONLY,
    errno.EACCES: sqlite3.SQLITE_PERM,
    errno.EPERM: sqlite3.SQLITE_PERM,
    errno.ENOENT: sqlite3.SQLITE_CANTOPEN,
    errno.ENOTDIR: sqlite3.SQLITE_CANTOPEN,
    errno.EIO: sqlite3.SQLITE_IOERR,
    errno.EBUSY: sqlite3.SQLITE_BUSY,
}
_OTHERWISE = "see the agent's log"
#: What SQLite raises about what it was given, and not about its file.
_OF_A_VALUE = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
)
#: What failures are counted by; any other is OTHER.
_CAUSES = {
    getattr(sqlite3, name): name
    for name in (
        "SQLITE_FULL",
        "SQLITE_READONLY",
        "SQLITE_PERM",
        "SQLITE_CANTOPEN",
        "SQLITE_BUSY",
        "SQLITE_LOCKED",
        "SQLITE_IOERR",
        "SQLITE_CORRUPT",
        "SQLITE_NOTADB",
    )
}


def fault_of(problem: Exception, path: Path, *, doing: str) -> StoreFailed:
    """The error for a failed access to `path`; the primary result code decides about the advice.

    What SQLite reports of its file may pass by itself (UNAVAILABLE). Anything else is a value that
    no store could take, and the same call would fail again (INTERNAL).
    """
    code = _primary_code(problem)
    advice = _ADVICE.get(code, _OTHERWISE)
    message = f"cannot {doing} {path}: {_described(problem)}; {advice}"
    passing = isinstance(problem, sqlite3.Error | OSError) and not isinstance(problem, _OF_A_VALUE)
    return StoreFailed(message, cause=_CAUSES.get(code, "OTHER"), passing=passing)


def _primary_code(problem: Exception) -> int:
    if isinstance(problem, OSError):
        return _SAME.get(problem.errno or 0, 0)
    return getattr(problem, "sqlite_errorcode", 0) & 0xFF


def _described(problem: Exception) -> str:
    kind = type(problem).__name__
    if isinstance(problem, OSError):
        return f"{kind}: {problem.strerror}"
    name = getattr(problem, "sqlite_errorname", "")
    return f"{kind} ({name}): {problem}" if name else f"{kind}: {problem}"


def snapshot_taken(snapshot_id: str) -> CubeletError:
    """The error for a second snapshot of one name; nothing of its change was written."""
    message = f"the store has a snapshot {snapshot_id} already; choose another name"
    return error(Code.ALREADY_EXISTS, Reason.SNAPSHOT_EXISTS, message)


def backup_taken(name: str) -> CubeletError:
    """The error for a second backup of one name; the first is as it was."""
    message = f"there is a backup {name} already; choose another name, or remove it"
    return error(Code.ALREADY_EXISTS, Reason.BACKUP_EXISTS, message)


def closed() -> CubeletError:
    """The error of every call after `close`."""
    message = "the store is closed, the agent is shutting down; ask again once it is back"
    return error(Code.UNAVAILABLE, Reason.SHUTTING_DOWN, message)
