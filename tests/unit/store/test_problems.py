"""What SQLite and the system report, as faults: cause, advice, and whether it may pass."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cubelet.core.faults import Code, Reason
from cubelet.store.problems import fault_of

PATH = Path("/state/cubelet.db")


def full() -> Exception:
    """A disk without room, as SQLite reports it."""
    return raised("PRAGMA max_page_count = 1; CREATE TABLE t (x);")


def busy() -> Exception:
    """A table that another connection is in the midst of changing."""
    shared = "file:busy?mode=memory&cache=shared"
    with (
        closing(sqlite3.connect(shared, uri=True)) as first,
        closing(sqlite3.connect(shared, uri=True)) as second,
    ):
        first.executescript("CREATE TABLE t (x); BEGIN; INSERT INTO t VALUES (1);")
        with pytest.raises(sqlite3.OperationalError) as caught:
            second.execute("SELECT * FROM t")
    return caught.value


def constraint() -> Exception:
    return raised("CREATE TABLE t (x UNIQUE); INSERT INTO t VALUES (1), (1);")


def raised(script: str) -> Exception:
    with closing(sqlite3.connect(":memory:")) as conn, pytest.raises(sqlite3.Error) as caught:
        conn.executescript(script)
    return caught.value


def system(number: int) -> Exception:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("problem", "cause", "advice"),
    [
        (full(), "SQLITE_FULL", "free space"),
        (busy(), "SQLITE_LOCKED", "close that"),
        (system(errno.ENOSPC), "SQLITE_FULL", "free space"),
        (system(errno.EROFS), "SQLITE_READONLY", "writable"),
        (system(errno.EACCES), "SQLITE_PERM", "writable"),
        (system(errno.EIO), "SQLITE_IOERR", "kernel's log"),
        (system(errno.EMFILE), "OTHER", "the agent's log"),
    ],
)
def test_trouble_with_the_file_may_pass(problem: Exception, cause: str, advice: str) -> None:
    failed = fault_of(problem, PATH, doing="write to")
    assert (failed.cause, failed.passing) == (cause, True)
    assert (failed.fault.code, failed.fault.reason) == (Code.UNAVAILABLE, Reason.STORE_FAILED)
    assert failed.fault.message.startswith(f"cannot write to {PATH}: ")
    assert advice in failed.fault.message


@pytest.mark.parametrize(
    "problem",
    [
        constraint(),
        sqlite3.ProgrammingError("a number of bindings"),
        ValueError("no such text"),
    ],
)
def test_trouble_with_a_value_does_not(problem: Exception) -> None:
    failed = fault_of(problem, PATH, doing="write to")
    assert (failed.cause, failed.passing) == ("OTHER", False)
    assert failed.fault.code is Code.INTERNAL
