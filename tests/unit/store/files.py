"""Stores on files of a test, and ways to spoil them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from cubelet.store.limits import LIMITS, Limits
from cubelet.store.sqlite import SqliteStore
from tests.contract.store.samples import change


async def open_store(path: Path, *, limits: Limits = LIMITS) -> SqliteStore:
    return await SqliteStore.open(path, boot_id="boot", now_ns=17, limits=limits)


def spoil(path: Path, statement: str, *values: object) -> None:
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute(statement, values)
    conn.close()


async def stored(path: Path, *names: str) -> None:
    store = await open_store(path)
    for name in names:
        await store.commit(change(name))
    await store.close()
