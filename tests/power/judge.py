"""What a power cut left is opened by the store that ships, and held to what was answered before."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from cubelet.core.faults import CubeletError
from cubelet.store import chain, meta
from tests.contract.store.samples import change
from tests.power.disk import Image
from tests.power.history import History, View, view_of
from tests.power.workload import open_store

#: Operations after which nothing more happens to a backup.
YOUNG_OPS = 40
_LATER = "opened later"


class Unsound(Exception):
    """A file that was opened well and has something wrong in it."""


def write_out(image: Image, root: Path) -> None:
    """Lay the image's files and directories into an empty place, in the place of what was there."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for name, data in image.items():
        if data is None:
            (root / name).mkdir()
        else:
            (root / name).write_bytes(data)


async def verdict(
    history: History, image: Image, at: int, *, power: bool, root: Path, again: bool
) -> str:
    """What is wrong with the store in this image after so many operations; "" where nothing is.

    `again`: also write to it, and read that once more.
    """
    write_out(image, root)
    path = root / "store.db"
    try:
        seen = await _opened(path, history, write=again, boot=2 if power else 1)
        wrong = history.mismatch(seen, at, power=power)
        if not wrong and again:
            wrong = _kept_on(seen, await _opened(path, history, write=False, boot=3))
        wrong = wrong or _quarantine(history, at, root)
        return wrong or await _backups(history, at, root, again=again)
    except CubeletError as problem:
        return f"unreadable: {problem.fault.message}"
    except Unsound as problem:
        return str(problem)


async def _opened(path: Path, history: History, *, write: bool, boot: int) -> View:
    store = await open_store(path, boot=boot)
    try:
        seen = await view_of(store, history.names)
        if write:
            await store.commit(change(_LATER))
    finally:
        await store.close()
    _checked(path)
    return seen


def _checked(path: Path) -> None:
    """What no caller sees: SQLite's own check of the file, and the journal's chain."""
    with closing(sqlite3.connect(path)) as conn:
        (found,) = conn.execute("PRAGMA integrity_check").fetchone()
        if found != "ok":
            raise Unsound(f"a file that was opened well is damaged: {found}")
        _, before = chain.parse_anchor(meta.get(conn, meta.ANCHOR))
        for *line, hash_ in conn.execute("SELECT * FROM journal ORDER BY seq"):
            before = chain.link(before, line)
            if before != hash_:
                raise Unsound(f"the chain of the journal breaks at line {line[0]}")


def _kept_on(before: View, after: View) -> str:
    """Whether a store that was opened and written to has that and all else."""
    added = {**before.records, _LATER: change(_LATER).record}
    if after.records != added or after.lines[: len(before.lines)] != before.lines:
        return "what was written after it was opened is not there, or more is gone"
    return ""


def _quarantine(history: History, at: int, root: Path) -> str:
    """A damaged file must still be somewhere, as it was."""
    if history.damaged is None or at < history.damaged[0]:
        return ""
    kept = [one.read_bytes() for one in (root / "quarantine").rglob("*") if one.is_file()]
    return "" if history.damaged[1] in kept else "the damaged file is lost"


async def _backups(history: History, at: int, root: Path, *, again: bool) -> str:
    """A backup is whole or not there; once it was told of, it is there.

    It is opened while it is young; what was told long ago, now and `again`.
    """
    for name, copy in history.backups.items():
        path = root / "backups" / f"{name}.db"
        if not path.exists():
            if copy.done is not None and copy.done <= at:
                return f"backup {name} is lost"
            continue
        if copy.done is not None and copy.done + YOUNG_OPS < at and not again:
            continue
        place = root / "restored" / "store.db"
        place.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, place)
        seen = await _opened(place, history, write=False, boot=3)
        wrong = history.mismatch_of_backup(seen, name)
        if wrong:
            return f"backup {name}: {wrong}"
    return ""
