"""A new file in the place of none or of a damaged one, which is kept.

Whatever dies in the midst, there is the old file, or the new one with the old one kept beside, and
never a part of either: the new file is made and synced under another name, gets a name that says
what is to be done, and from then on every opening does what is left of it.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import structlog
from sqlite_utils import Database

from cubelet.crashpoints import reach
from cubelet.store import files, mark, meta, schema

QUARANTINE = "quarantine"
_MAKING = ".making"
#: Followed by the name of the directory in which the old file is kept.
_NEW = ".new."

_log = structlog.get_logger("cubelet.store")


def replace(path: Path, why: str, *, now_ns: int) -> None:
    """Make a new, empty store at `path`, which says why it is incomplete; keep what is there."""
    old = list(_old(path))
    stamp = _free_stamp(path, now_ns)
    if old:
        why = f"{why}; it is kept in {_kept_in(path, stamp)}"
        _log.error("store_damaged", path=str(path), why=why)
    reach("store.replace.begun")
    making = path.with_name(path.name + _MAKING)
    _make(making, why, now_ns=now_ns)
    making.rename(path.with_name(f"{path.name}{_NEW}{stamp}"))
    reach("store.replace.decided")
    carry_on(path)


def begun(path: Path) -> list[Path]:
    """The new file of a replacement that was decided and is not done yet, if there is one."""
    return sorted(path.parent.glob(f"{path.name}{_NEW}*"))


def carry_on(path: Path) -> None:
    """Do what is left of a replacement that was decided; nothing where there is none."""
    for new in begun(path)[:1]:
        files.sync(path.parent)
        _keep(path, _kept_in(path, new.name.removeprefix(path.name + _NEW)))
        new.rename(path)
        reach("store.replace.named")
        files.sync(path.parent)
        reach("store.replace.done")


def _keep(path: Path, kept: Path) -> None:
    mark.path_of(path).unlink(missing_ok=True)
    damaged = list(_old(path))
    if damaged:
        # Where it goes must be on the disk before it goes there.
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.sync(kept.parent)
        files.sync(path.parent)
    for old in damaged:
        old.rename(kept / old.name)
        reach("store.replace.moved")
    if kept.exists():
        files.sync(kept)
        files.sync(path.parent)
        reach("store.replace.kept")


def _old(path: Path) -> Iterator[Path]:
    """What there is of the old file, itself last: while it is there, so is the damage."""
    beside = [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal")]
    for one in (*beside, path):
        if one.exists():
            yield one


def _make(making: Path, why: str, *, now_ns: int) -> None:
    for suffix in ("", "-journal"):
        making.with_name(making.name + suffix).unlink(missing_ok=True)
    files.make_private(making)
    with contextlib.closing(sqlite3.connect(making, isolation_level=None)) as conn:
        schema.migrations.apply(Database(conn, execute_plugins=False))
        meta.put(conn, meta.CREATED_AT_NS, str(now_ns))
        meta.put(conn, meta.INCOMPLETE, why)
    reach("store.replace.made")
    files.sync(making)
    reach("store.replace.synced")


def _kept_in(path: Path, stamp: str) -> Path:
    return path.parent / QUARANTINE / stamp


def _free_stamp(path: Path, now_ns: int) -> str:
    stamp = datetime.fromtimestamp(now_ns // 10**9, UTC).strftime("%Y%m%dT%H%M%SZ")
    names = itertools.chain([stamp], (f"{stamp}-{number}" for number in itertools.count(2)))
    return next(name for name in names if not _kept_in(path, name).exists())
