"""Every kind of store, each upon something where the next one finds what it left."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from cubelet.engine.ports import Loaded, Store
from cubelet.store.failing import FailingStore
from cubelet.store.limits import Keep, Limits
from cubelet.store.memory import MemoryStore
from cubelet.store.sqlite import SqliteStore
from tests.support.stores import RecordingStore

AGE_S = 100
JOURNAL = Keep(newest=10, age_s=AGE_S, most=50)
OUTCOMES = Keep(newest=2, age_s=AGE_S, most=5)
LIMITS = Limits(journal=JOURNAL, outcomes=OUTCOMES)
#: What a store says that has no past.
FRESH = "there was no file"


class Disk(Protocol):
    """Where one store after another finds the same things."""

    async def open(self) -> Store: ...


class SqliteDisk:
    def __init__(self, path: Path) -> None:
        self.path = path

    async def open(self) -> Store:
        return await SqliteStore.open(self.path / "store.db", boot_id="b", now_ns=1, limits=LIMITS)


class MemoryDisk:
    def __init__(self, path: Path) -> None:
        del path
        self.store = MemoryStore(Loaded(incomplete=FRESH), limits=LIMITS)

    async def open(self) -> Store:
        self.store = self.store.reopened()
        return self.store


class RecordingDisk:
    def __init__(self, path: Path) -> None:
        del path
        self.store = RecordingStore(inner=MemoryStore(Loaded(incomplete=FRESH), limits=LIMITS))

    async def open(self) -> Store:
        self.store = self.store.reopened()
        return self.store


class FailingDisk(SqliteDisk):
    async def open(self) -> Store:
        return FailingStore(await super().open())


KINDS = (SqliteDisk, MemoryDisk, FailingDisk, RecordingDisk)
