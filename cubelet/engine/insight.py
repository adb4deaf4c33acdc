"""What the agent tells of its sandboxes, of itself and of its host."""

from __future__ import annotations

from collections.abc import Sequence

from cubelet.core import conditions as core_conditions
from cubelet.core import explain as core_explain
from cubelet.core.bindings import Snapshot
from cubelet.core.conditions import Condition
from cubelet.core.effects import Entry
from cubelet.core.explain import Explanation, Forecast
from cubelet.core.model import Record
from cubelet.core.node import Diagnosis, NodeStatus
from cubelet.engine.backups import backup_name
from cubelet.engine.node import node_status
from cubelet.engine.parts import Parts
from cubelet.engine.ports import Backup, StoreFailed

#: How much of the journal an explanation shows.
EXPLAINED_ENTRIES = 20


class Insight(Parts):
    """Those of facade.Agent that look, at the view, the journal, a shim or the host."""

    @property
    def runtimes(self) -> Sequence[str]:
        """Names of the usable runtimes, the default first."""
        return list(self._runtimes)

    def resolve(self, text: str) -> str:
        """The id that `text` is, or is the only one to begin with."""
        return self._fleet.resolve(text)

    def view(self) -> Sequence[Record]:
        """All sandboxes from memory, newest first and ended ones last."""
        return self._fleet.view()

    async def get(self, sandbox_id: str) -> Record:
        """One sandbox, after a look at the shim where an outcome is open."""
        worker = self._fleet.worker(sandbox_id)
        if worker.doubtful:
            await self._look_briefly(worker)
        return self._fleet.record_of(worker)

    def conditions(self, record: Record) -> Sequence[Condition]:
        """What is remarkable about a sandbox now; see facade.Agent."""
        own = core_conditions.conditions(record, self._clock.now(), self._policy)
        store = self.health.condition
        return own if store is None else (*own, store)

    def status(self) -> NodeStatus:
        """How the agent fares; see facade.Agent."""
        return node_status(
            self._fleet,
            self.rounds,
            [self.health.condition, self._doctor.condition, self._rebuild.condition],
        )

    def snapshots(self) -> Sequence[Snapshot]:
        """The catalog, oldest first."""
        return sorted(self._catalog.entries.values(), key=lambda one: (one.created_at_ns, one.id))

    async def explain(self, sandbox_id: str) -> Explanation:
        """Why it is in its state; see facade.Agent."""
        worker = self._fleet.worker(sandbox_id)
        entries: Sequence[Entry] = ()
        store = self.health.condition
        try:
            entries = await self._store.journal(sandbox_id, limit=EXPLAINED_ENTRIES)
        except StoreFailed as failed:
            store = self.health.unread(failed)
        record = self._fleet.record_of(worker)
        mine = tuple(entry for entry in entries if entry.incarnation == record.incarnation)
        return core_explain.explain(
            record,
            now=self._clock.now(),
            policy=self._policy,
            journal=mine,
            look_in_s=worker.look_in_s,
            round_in_s=self.rounds.next_in_s,
            node=(store,) if store else (),
        )

    async def journal(self, sandbox_id: str, *, limit: int) -> Sequence[Entry]:
        """The newest entries of one sandbox, or of all; see facade.Agent."""
        return await self._store.journal(sandbox_id, limit=limit)

    async def reconcile(self, sandbox_id: str) -> Record:
        """Ask the shim now, follow what it says, and give the record after that."""
        worker = self._fleet.worker(sandbox_id)
        await worker.look()
        return self._fleet.record_of(worker)

    async def forecast(self, sandbox_id: str) -> Forecast:
        """Say what `reconcile` would do; see facade.Agent."""
        worker = self._fleet.worker(sandbox_id)
        evidence = await self._executor.ask(self._fleet.record_of(worker), worker.questions)
        record = self._fleet.record_of(worker)
        return core_explain.forecast(record, evidence, self._clock.now(), self._policy)

    async def doctor(self, *, fix: bool) -> Diagnosis:
        """What no record owns on this host; see facade.Agent."""
        if fix:
            self._refuse_while_draining()
        return await self._doctor.called(fix=fix)

    async def backup(self, name: str) -> Backup:
        """Copy the store; see facade.Agent."""
        return await self._store.backup(backup_name(name, self._clock.now()))
