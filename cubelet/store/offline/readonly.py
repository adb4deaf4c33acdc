"""The way to a store's file that changes nothing: neither the file nor what is beside it."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlite_utils import Database

from cubelet.core.faults import Code, Reason, error
from cubelet.store.problems import fault_of


@contextmanager
def opened(path: Path) -> Iterator[Database]:
    """The file as it is on disk, with what its write-ahead log adds. Nobody may write meanwhile.

    Raises CubeletError where there is no such file or it cannot be read. That it is no database, or
    a damaged one, shows with the questions.
    """
    if not path.is_file():
        message = f"there is no store at {path}; name another --state-dir, or a --file"
        raise error(Code.NOT_FOUND, Reason.STORE_FAILED, message)
    with ExitStack() as parts:
        try:
            conn = sqlite3.connect(_address(path, parts), uri=True, isolation_level=None)
        except (OSError, sqlite3.Error) as problem:
            raise fault_of(problem, path, doing="read") from problem
        parts.callback(conn.close)
        # A text that is not UTF-8 spoils its own row only, as for the agent.
        conn.text_factory = lambda data: data.decode(errors="backslashreplace")
        yield Database(conn, execute_plugins=False)


def _address(path: Path, parts: ExitStack) -> str:
    """The file itself where all is in it, else a copy of it and of its write-ahead log.

    SQLite reads such a log by an index in a file beside it, and puts it into its database when it
    closes that: so it gets a copy for it, where temporary files are.
    """
    path.open("rb").close()  # What forbids it is told in the system's words, not in SQLite's.
    log = path.with_name(path.name + "-wal")
    if not log.exists() or log.stat().st_size == 0:
        return f"{path.absolute().as_uri()}?immutable=1"
    folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="cubelet-store-")))
    shutil.copyfile(log, folder / log.name)
    return f"{Path(shutil.copyfile(path, folder / path.name)).as_uri()}?mode=rw"
