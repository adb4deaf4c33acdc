"""A store in memory that shows what it was given, and refuses what a test wants refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from cubelet.core.effects import Entry
from cubelet.core.model import Outcome, Record
from cubelet.engine.ports import Backup, Change, Loaded, StoreFailed
from cubelet.store.memory import MemoryStore


class RecordingStore:
    """Passes calls on to a MemoryStore; `refuse` names commits by number, 1 being the first."""

    def __init__(self, loaded: Loaded | None = None, *, inner: MemoryStore | None = None) -> None:
        self.inner = inner or MemoryStore(loaded)
        self.records = {record.id: record for record in (loaded or Loaded()).records}
        #: What was committed, in this order.
        self.changes: list[Change] = []
        #: Commits that were asked for, refused ones too.
        self.commits = 0
        self.refuse: Callable[[int], Exception | None] = lambda _: None
        #: What every write ends with: a disk that fails until a test takes this away.
        self.broken: StoreFailed | None = None
        #: Probes that were asked for, refused ones too.
        self.probes = 0
        #: How long a commit takes.
        self.takes_s = 0.0

    @property
    def entries(self) -> list[Entry]:
        return [entry for change in self.changes for entry in change.entries]

    @property
    def synced(self) -> list[bool]:
        return [change.synced for change in self.changes]

    def reopened(self) -> RecordingStore:
        """What an agent finds after a restart; it begins to count anew."""
        other = RecordingStore(inner=self.inner.reopened())
        other.records = self.records
        return other

    async def load(self) -> Loaded:
        return await self.inner.load()

    async def commit(self, change: Change) -> None:
        self.commits += 1
        if self.takes_s:
            await asyncio.sleep(self.takes_s)
        refusal = self.broken or self.refuse(self.commits)
        if refusal is not None:
            raise refusal
        await self.inner.commit(change)
        self.changes.append(change)
        _apply(change, self.records)

    async def journal(self, sandbox_id: str, *, limit: int) -> Sequence[Entry]:
        return await self.inner.journal(sandbox_id, limit=limit)

    async def outcome(self, sandbox_id: str, key: str) -> Outcome | None:
        return await self.inner.outcome(sandbox_id, key)

    async def completed(self) -> None:
        self._check()
        await self.inner.completed()

    async def retain(self, now_ns: int) -> int:
        self._check()
        return await self.inner.retain(now_ns)

    async def probe(self) -> None:
        self.probes += 1
        self._check()
        await self.inner.probe()

    async def backup(self, name: str) -> Backup:
        return await self.inner.backup(name)

    async def close(self) -> None:
        await self.inner.close()

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken


def _apply(change: Change, records: dict[str, Record]) -> None:
    if change.record is None:
        records.pop(change.id, None)
    else:
        records[change.id] = change.record
