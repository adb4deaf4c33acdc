"""The simulated store: ordered commits, syncs, a disk that fills up, kills and power cuts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from cubelet.core.bindings import Snapshot
from cubelet.core.effects import Entry
from cubelet.core.model import Outcome, Record
from cubelet.engine.ports import Backup, Change, Loaded, StoreFailed
from tests.sim.world import World


@dataclass(slots=True)
class Tables:
    """What a store holds."""

    records: dict[str, Record] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    outcomes: dict[tuple[str, str], Outcome] = field(default_factory=dict)
    snapshots: dict[str, Snapshot] = field(default_factory=dict)

    def copy(self) -> Tables:
        """The same, to be changed alone."""
        return Tables(
            dict(self.records), list(self.entries), dict(self.outcomes), dict(self.snapshots)
        )

    def apply(self, change: Change) -> None:
        """One change, whole."""
        if change.record is None:
            self.records.pop(change.id, None)
        else:
            self.records[change.id] = change.record
        self.entries.extend(change.entries)
        for outcome in change.outcomes:
            self.outcomes[outcome.sandbox_id, outcome.key.value] = outcome
        for snapshot in change.snapshots:
            self.snapshots[snapshot.id] = snapshot


@dataclass(slots=True, eq=False)
class _Pending:
    change: Change
    reply: asyncio.Future[None]
    refusal: StoreFailed | None


class Disk:
    """What is on it outlives every agent. A `Store` of it is what one life of the agent opens."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tables = Tables()
        #: What is there for good, and what was written since.
        self.base = Tables()
        self.applied: list[Change] = []
        self.waiting: list[_Pending] = []
        #: Until when every commit is refused, and why.
        self.broken_until_s = 0.0
        self.broken_why = ""
        #: Why the store may not know every sandbox; "" where it does.
        self.incomplete = ""
        #: Why a record cannot be read, by its id.
        self.unreadable: dict[str, str] = {}
        #: From then on commits were quick and none was refused.
        self.good_since_s = 0.0
        #: When it last told an agent that it refuses something.
        self.refused_s = -1.0
        #: When an agent last had everything that is on it.
        self.loaded_s = 0.0
        self._free_at_s = 0.0

    def break_for(self, seconds: float, why: str) -> None:
        """Every commit fails for a while."""
        self.broken_until_s = self.world.now_s + self.world.work_time(seconds)
        self.broken_why = why
        self._bad(self.broken_until_s)

    def submit(self, change: Change) -> asyncio.Future[None]:
        """Commit in the order of arrival; the reply comes when it is on disk, or is refused."""
        world = self.world
        pending = _Pending(change, world.loop.create_future(), self._refusal())
        self.waiting.append(pending)
        self._free_at_s = max(self._free_at_s, world.now_s) + self._takes_s(synced=change.synced)
        world.after(self._free_at_s - world.now_s, self._land, pending)
        return pending.reply

    def lose(self, sandbox_id: str) -> None:
        """Between two agents: the record of this sandbox is damaged, with "" the whole store."""
        if sandbox_id:
            self.tables.records.pop(sandbox_id, None)
            self.unreadable[sandbox_id] = "damaged"
        else:
            self.tables = Tables()
            self.unreadable.clear()
            self.incomplete = "damaged"
        self.base, self.applied = self.tables.copy(), []
        self.world.note(f"lost: {sandbox_id or 'the store'}")

    def check(self) -> None:
        """Refuse as a commit would be refused now."""
        refusal = self._refusal()
        if refusal is not None:
            self.refused_s = self.world.now_s
            raise refusal

    def unsynced(self, sandbox_id: str) -> bool:
        """Whether a power cut now could lose the last change of this sandbox."""
        for change in reversed(self.applied):
            if change.synced:
                return False
            if change.id == sandbox_id:
                return True
        return False

    def end(self, *, power: bool) -> None:
        """The agent, or the whole host, ends now: some of what waits may still get there."""
        lucky = self.world.rng.randint(0, len(self.waiting))
        waiting, self.waiting = self.waiting, []
        for pending in waiting[:lucky]:
            if pending.refusal is None:
                self._apply(pending.change)
        self._free_at_s = self.world.now_s
        if power:
            self._lose_unsynced()

    def open(self) -> Store:
        """What a new agent finds."""
        return Store(self)

    def _lose_unsynced(self) -> None:
        synced = [number for number, change in enumerate(self.applied, 1) if change.synced]
        kept = self.world.rng.randint(synced[-1] if synced else 0, len(self.applied))
        self.applied = self.applied[:kept]
        self.tables = self.base.copy()
        for change in self.applied:
            self.tables.apply(change)

    def _takes_s(self, *, synced: bool) -> float:
        slow = self.world.swarm.first("store_slow", "store_very_slow")
        dice = self.world.swarm.stream("store_slow")
        takes_s = {"store_slow": dice.uniform(0.05, 1), "store_very_slow": dice.uniform(1, 10)}.get(
            slow, 0.0003 if synced else 0.00005
        )
        if slow:
            self._bad(max(self._free_at_s, self.world.now_s) + takes_s)
        return self.world.work_time(takes_s)

    def _refusal(self) -> StoreFailed | None:
        why = self.world.swarm.first("store_busy", "store_eio")
        if self.world.now_s < self.broken_until_s:
            why = self.broken_why
        if not why:
            return None
        self._bad(self.world.now_s)
        return StoreFailed(f"the store refused: {why}", cause=why)

    def _bad(self, until_s: float) -> None:
        self.good_since_s = max(self.good_since_s, until_s)

    def _land(self, pending: _Pending) -> None:
        if pending not in self.waiting:
            return
        self.waiting.remove(pending)
        if pending.refusal is not None:
            self.refused_s = self.world.now_s
            self.world.note(f"{pending.change.id} not written: {pending.refusal}")
            pending.reply.set_exception(pending.refusal)
            return
        self._apply(pending.change)
        pending.reply.set_result(None)

    def _apply(self, change: Change) -> None:
        before = self.tables.records.get(change.id)
        self.unreadable.pop(change.id, None)
        self.tables.apply(change)
        self.applied.append(change)
        for entry in change.entries:
            edge = f"{entry.before} -> {entry.after}"
            text = f"r{entry.revision} e{entry.epoch} {edge} by {entry.cause}: {entry.detail}"
            self.world.note(f"{change.id} {text}")
        self.world.judge.written(before, change)


class Store:
    """Implements ports.Store for one life of the agent."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    async def load(self) -> Loaded:
        """Everything; now and then only after a while."""
        world = self._disk.world
        if world.swarm.fires("load_slow"):
            await asyncio.sleep(world.work_time(world.swarm.stream("load_slow").uniform(0.1, 5)))
        self._disk.loaded_s = world.now_s
        tables = self._disk.tables
        return Loaded(
            records=[tables.records[key] for key in sorted(tables.records)],
            snapshots=list(tables.snapshots.values()),
            unreadable=dict(self._disk.unreadable),
            incomplete=self._disk.incomplete,
        )

    async def commit(self, change: Change) -> None:
        """See the port."""
        await self._disk.submit(change)

    async def journal(self, sandbox_id: str, *, limit: int) -> Sequence[Entry]:
        """See the port."""
        entries = self._disk.tables.entries
        mine = [entry for entry in entries if sandbox_id in {"", entry.sandbox_id}]
        return mine[-limit:]

    async def outcome(self, sandbox_id: str, key: str) -> Outcome | None:
        """See the port."""
        return self._disk.tables.outcomes.get((sandbox_id, key))

    async def completed(self) -> None:
        """See the port."""
        self._disk.check()
        self._disk.incomplete = ""

    async def retain(self, now_ns: int) -> int:
        """Keeps everything: checkers look at all that was ever written."""
        del now_ns
        return 0

    async def probe(self) -> None:
        """See the port."""
        self._disk.check()

    async def backup(self, name: str) -> Backup:
        """A name, and no more."""
        self._disk.check()
        return Backup(path=f"{name}.db", bytes=0)

    async def close(self) -> None:
        """Nothing to do."""
