"""Whether the store takes changes, and what the agent does about that without being asked.

`WatchedStore` stands before the store that the engine was given, and passes everything on. `Health`
hears how it ends: a change that the disk refused sets the condition DEGRADED_STORE, and while that
holds the store is tried every PROBE_S, so that it goes without a restart and without a caller.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog

from cubelet.core.conditions import Condition, ConditionKind
from cubelet.core.effects import Entry
from cubelet.core.faults import CubeletError, Fault
from cubelet.core.model import Now, Outcome
from cubelet.engine.ports import Backup, Change, Clock, Loaded, Store, StoreFailed

_log = structlog.get_logger("cubelet.store")

T = TypeVar("T")

#: Between two tries of a store that refuses. One that works again without a refusal in between is
#: believed, so the condition goes within twice this time, and cannot come and go with each change.
PROBE_S = 2.0
#: Between two cleanings of the store, and two lines of the log about one that stays degraded.
RETAIN_S = 60.0


@dataclass(slots=True, kw_only=True)
class _Trouble:
    """A store that refuses: since when, why the last time, and how many changes."""

    since: Now
    fault: Fault
    changes: int = 0
    told_mono_s: float


class Health:
    """One for the engine. The counters are read by whoever shows them.

    `works_again` is called when the condition goes.
    """

    def __init__(self, clock: Clock, *, works_again: Callable[[], None]) -> None:
        #: What the store could not do, by cause (`StoreFailed.cause`); reads too.
        self.failures: Counter[str] = Counter()
        #: Rows of journal and answers that were dropped because of their age or number.
        self.retained = 0
        self._clock = clock
        self._works_again = works_again
        self._trouble: _Trouble | None = None
        self._refusals = 0
        self._cleaned_mono_s = clock.now().mono_s

    @property
    def condition(self) -> Condition | None:
        """DEGRADED_STORE while changes are refused."""
        trouble = self._trouble
        if trouble is None:
            return None
        evidence = f"{trouble.changes} changes were refused, the last because: "
        return Condition(
            kind=ConditionKind.DEGRADED_STORE,
            since_ns=trouble.since.wall_ns,
            evidence=evidence + trouble.fault.message,
        )

    def unread(self, failure: StoreFailed) -> Condition:
        """What to show where something could not be read just now."""
        return self.condition or Condition(
            kind=ConditionKind.DEGRADED_STORE,
            since_ns=self._clock.now().wall_ns,
            evidence=failure.fault.message,
        )

    def failed(self, failure: StoreFailed) -> None:
        """Something was not read or not copied; that says nothing of changes."""
        self.failures[failure.cause] += 1

    def refused(self, failure: StoreFailed, *, changes: int) -> None:
        """So many changes were not written; 0 for what nobody asked for."""
        self.failures[failure.cause] += 1
        if not failure.passing:
            return
        self._refusals += 1
        if self._trouble is None:
            now = self._clock.now()
            self._trouble = _Trouble(since=now, fault=failure.fault, told_mono_s=now.mono_s)
            _log.error("store_degraded", cause=failure.cause, reason=failure.fault.message)
        self._trouble.fault = failure.fault
        self._trouble.changes += changes

    async def tend(self, store: Store) -> None:
        """Try it while it refuses, and clean it while it does not; for ever."""
        while True:
            refusals = self._refusals
            await asyncio.sleep(PROBE_S)
            if self._trouble is not None:
                await self._try(store, self._trouble, refusals)
            elif self._clock.now().mono_s - self._cleaned_mono_s >= RETAIN_S:
                await self._clean(store)

    async def _try(self, store: Store, trouble: _Trouble, refusals: int) -> None:
        try:
            await store.probe()
        except CubeletError:
            self._remind(trouble)
            return
        if self._refusals == refusals:
            self._trouble = None
            took_s = self._clock.now().mono_s - trouble.since.mono_s
            _log.info("store_works_again", refused=trouble.changes, after_s=round(took_s, 3))
            self._works_again()

    def _remind(self, trouble: _Trouble) -> None:
        now = self._clock.now()
        if now.mono_s - trouble.told_mono_s >= RETAIN_S:
            trouble.told_mono_s = now.mono_s
            _log.error("store_degraded", refused=trouble.changes, reason=trouble.fault.message)

    async def _clean(self, store: Store) -> None:
        """Failing costs nothing but space; it is tried again in its turn."""
        now = self._clock.now()
        self._cleaned_mono_s = now.mono_s
        try:
            self.retained += await store.retain(now.wall_ns)
        except CubeletError as failed:
            _log.warning("store_not_cleaned", reason=failed.fault.message)


class WatchedStore:
    """Implements ports.Store over another one."""

    def __init__(self, store: Store, health: Health) -> None:
        self._store = store
        self._health = health

    async def load(self) -> Loaded:
        """As the store."""
        return await self._read(self._store.load())

    async def commit(self, change: Change) -> None:
        """As the store; one that is refused is a change that somebody wanted."""
        await self._write(self._store.commit(change), changes=1)

    async def journal(self, sandbox_id: str, *, limit: int) -> Sequence[Entry]:
        """As the store."""
        return await self._read(self._store.journal(sandbox_id, limit=limit))

    async def outcome(self, sandbox_id: str, key: str) -> Outcome | None:
        """As the store."""
        return await self._read(self._store.outcome(sandbox_id, key))

    async def completed(self) -> None:
        """As the store."""
        await self._write(self._store.completed())

    async def retain(self, now_ns: int) -> int:
        """As the store."""
        return await self._write(self._store.retain(now_ns))

    async def probe(self) -> None:
        """As the store."""
        await self._write(self._store.probe())

    async def backup(self, name: str) -> Backup:
        """As the store; it writes another file."""
        return await self._read(self._store.backup(name))

    async def close(self) -> None:
        """As the store."""
        await self._store.close()

    async def _read(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except StoreFailed as failed:
            self._health.failed(failed)
            raise

    async def _write(self, work: Awaitable[T], *, changes: int = 0) -> T:
        try:
            return await work
        except StoreFailed as failed:
            self._health.refused(failed, changes=changes)
            raise
