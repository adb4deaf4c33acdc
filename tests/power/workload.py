"""A store's life, drawn from a seed: what is asked of it, with each answer noted as it comes.

Everything that the disk sees follows from the seed. What is asked at once is given to the writer
while it is held up, so that it is one transaction, and the writer rests when the answers come.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from cubelet.engine.ports import Change, Loaded
from cubelet.store.limits import Keep, Limits
from cubelet.store.memory import MemoryStore
from cubelet.store.sqlite import SqliteStore
from tests.contract.store.samples import entry, outcome, record, snapshot
from tests.power.history import History, Name, Step, twin_of, view_of
from tests.power.recorder import Recorder

#: Small enough that retention has work.
LIMITS = Limits(
    journal=Keep(newest=10, age_s=86_400, most=40), outcomes=Keep(newest=3, age_s=86_400, most=8)
)
#: Pages in the write-ahead log at which SQLite moves them to the file; 1,000 without us.
CHECKPOINT_PAGES = 40
_TEXT_MAX = 9000
_OLD = Path(__file__).parents[1] / "unit" / "store" / "formats" / "format-1.sql"
_IDS = ("box", "crate", "bin", "tub")


@dataclass(slots=True)
class Life:
    """One store from its making to its last close, under the eyes of a recorder."""

    path: Path
    recorder: Recorder
    dice: Random
    history: History = field(default_factory=History)
    _revision: int = 0

    async def live(self, *, batches: int) -> None:
        """Make the file or take an old one over, work, be restarted, be damaged, work on."""
        step = await (self._take_over() if self.path.exists() else self._begin())
        step.done = self.now
        for part in ("first", "second"):
            async with self._open() as store:
                await self._work(store, batches // 3, backup=part)
        await self._damage()
        async with self._open() as store:
            await self._work(store, batches // 3, backup="third")

    @property
    def now(self) -> int:
        """How many operations the disk has seen."""
        return len(self.recorder.ops)

    async def _begin(self) -> Step:
        twin = MemoryStore(Loaded(incomplete="there was no file"), limits=LIMITS)
        return await self.history.begin(twin, at=self.now)

    async def _take_over(self) -> Step:
        """What an older agent wrote is what this one reads; that has tests of its own."""
        with tempfile.TemporaryDirectory() as elsewhere:
            copy = Path(shutil.copy(self.path, elsewhere))
            store = await open_store(copy)
            self.history.names += await store.writer.read(_answered)
            held = await view_of(store, self.history.names)
            await store.close()
        return await self.history.begin(await twin_of(held, LIMITS), at=self.now)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[SqliteStore]:
        store = await open_store(self.path)
        await store.writer.read(_checkpoint_soon)
        try:
            yield store
        finally:
            await store.close()

    async def _work(self, store: SqliteStore, batches: int, *, backup: str) -> None:
        for number in range(batches):
            if number == batches // 2:
                await self._back_up(store, backup)
                step = await self.history.completed(at=self.now)
                await store.completed()
                step.done = self.now
            if self.dice.random() < 0.15:
                await self._retain(store)
            if self.dice.random() < 0.1:
                await store.probe()
            await self._batch(store)

    async def _batch(self, store: SqliteStore) -> None:
        """Some changes at once; all are in one transaction, whose answer is theirs."""
        changes = [self._change() for _ in range(self.dice.choice((1, 1, 1, 2, 5)))]
        begun = self.now
        steps = [await self.history.commit(change, at=begun) for change in changes]
        held, release = threading.Event(), threading.Event()

        def hold(_: sqlite3.Connection) -> None:
            held.set()
            release.wait()

        tasks: list[asyncio.Future[None]] = [asyncio.ensure_future(store.writer.read(hold))]
        # The writer has taken this alone; what comes from here on, it takes together.
        await asyncio.to_thread(held.wait)
        tasks += [asyncio.ensure_future(store.commit(change)) for change in changes]
        # Each task runs up to where it has handed its job to the writer.
        await asyncio.sleep(0)
        release.set()
        await asyncio.gather(*tasks)
        for step in steps:
            step.done = self.now

    async def _retain(self, store: SqliteStore) -> None:
        now_ns = entry().at_ns + self.dice.randrange(3 * 86_400 * 10**9)
        step = await self.history.retain(now_ns, at=self.now)
        await store.retain(now_ns)
        step.done = self.now

    async def _back_up(self, store: SqliteStore, name: str) -> None:
        copy = self.history.backup(name)
        await store.backup(name)
        copy.done = self.now

    async def _damage(self) -> None:
        """Spoil the file so that no store can take it for whole."""
        twin = MemoryStore(Loaded(incomplete="the file was damaged"), limits=LIMITS)
        step = await self.history.begin(twin, at=self.now)
        self.recorder.spoil(self.path, 0, b"spoilt by a test")
        step.done = self.now
        self.history.damaged = self.now, self.path.read_bytes()

    def _change(self) -> Change:
        self._revision += 1
        name, dice = self.dice.choice(_IDS), self.dice
        one = record(name, revision=self._revision)
        filler = "x" * dice.choice((0, 0, 100, dice.randrange(_TEXT_MAX)))
        spec = replace(one.spec, annotations={"filler": filler})
        line = replace(entry(name, revision=self._revision), detail=filler[:200])
        key = f"key {self._revision}"
        return Change(
            id=name,
            record=None if dice.random() < 0.1 else replace(one, spec=spec),
            entries=[line] * dice.choice((1, 1, 2)),
            outcomes=(outcome(key, name, failed=True),) if dice.random() < 0.3 else (),
            snapshots=(snapshot(f"snap {self._revision}"),) if dice.random() < 0.1 else (),
            synced=dice.random() < 0.6,
        )


async def open_store(path: Path, *, boot: int = 1) -> SqliteStore:
    """The store that ships, with little room; after the end of the host in another boot."""
    return await SqliteStore.open(path, boot_id=f"boot {boot}", now_ns=1, limits=LIMITS)


def write_old(path: Path) -> None:
    """The first format of the store's file."""
    with closing(sqlite3.connect(path)) as conn:
        conn.executescript(_OLD.read_text())
        conn.execute("PRAGMA journal_mode = WAL")


def _answered(conn: sqlite3.Connection) -> list[Name]:
    return conn.execute("SELECT sandbox_id, key FROM operations ORDER BY seq").fetchall()


def _checkpoint_soon(conn: sqlite3.Connection) -> None:
    conn.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
