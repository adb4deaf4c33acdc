"""The engine: all workers, the view that readers see, and the requests of the outside."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog

from cubelet.core import conditions as core_conditions
from cubelet.core import explain as core_explain
from cubelet.core.bindings import INVALID_BASE, Snapshot
from cubelet.core.conditions import Condition
from cubelet.core.effects import Entry
from cubelet.core.explain import Explanation, Forecast
from cubelet.core.faults import Code, CubeletError, Reason, error
from cubelet.core.ids import DEFAULT_NAMESPACE, check_id
from cubelet.core.inputs import (
    Cause,
    CommitRequested,
    CreateRequested,
    DeleteRequested,
    Expected,
    PauseRequested,
    Recovered,
    RepairRequested,
    Request,
    ResumeRequested,
    RollbackRequested,
)
from cubelet.core.model import Key, Record, State
from cubelet.core.node import Diagnosis, NodeStatus
from cubelet.core.policy import Policy
from cubelet.core.spec import Spec
from cubelet.crashpoints import reach
from cubelet.engine.backups import backup_name
from cubelet.engine.catalog import Catalog
from cubelet.engine.doctor import Doctor
from cubelet.engine.executor import Executor
from cubelet.engine.facade import ANYTHING
from cubelet.engine.fleet import Fleet
from cubelet.engine.health import Health, WatchedStore
from cubelet.engine.heartbeat import watch_clocks
from cubelet.engine.node import node_status
from cubelet.engine.ports import Backup, Chance, Clock, Hooks, Ids, Runtime, Store, StoreFailed
from cubelet.engine.rebuild import Rebuild
from cubelet.engine.rounds import Rounds
from cubelet.engine.supervisor import Supervisor
from cubelet.engine.transitions import TransitionLog
from cubelet.engine.worker import Surroundings, Worker

_log = structlog.get_logger("cubelet.engine")

#: How long a request waits for a look at a sandbox whose outcome is open. A shim that answers does
#: so in a few milliseconds; for another the settle loop waits, not the caller.
LOOK_PATIENCE_S = 0.5
#: How much of the journal an explanation shows.
EXPLAINED_ENTRIES = 20


class Engine:
    """Implements facade.Agent over the ports. Built by app; one per process.

    `runtimes` are those that are usable here, the default one first. `boot_id` is that of the host,
    "" where it is not known: then no restart of the host is noticed as such.
    """

    def __init__(
        self,
        *,
        store: Store,
        runtimes: Mapping[str, Runtime],
        hooks: Hooks,
        clock: Clock,
        ids: Ids,
        chance: Chance,
        policy: Policy,
        boot_id: str = "",
    ) -> None:
        self.health = Health(clock, works_again=self._store_works)
        self._store = WatchedStore(store, self.health)
        self._runtimes = runtimes
        self._clock = clock
        self._ids = ids
        self._policy = policy
        self._boot_id = boot_id
        self._supervisor = Supervisor()
        self._fleet = Fleet(lambda sandbox_id, record: Worker(sandbox_id, record, self._around))
        self._catalog = Catalog()
        self._draining = False
        self._executor = Executor(runtimes=runtimes, hooks=hooks, clock=clock, policy=policy)
        self.rounds = Rounds(all_of=self._fleet.workers, clock=clock, period_s=policy.relist_s)
        self._around = Surroundings(
            store=self._store,
            clock=clock,
            chance=chance,
            executor=self._executor,
            supervisor=self._supervisor,
            log=TransitionLog(),
            publish=self._publish,
            catalogue=self._catalog.add,
        )
        self._rebuild = Rebuild(
            store=self._store,
            runtimes=runtimes,
            executor=self._executor,
            fleet=self._fleet,
            catalog=self._catalog,
            supervisor=self._supervisor,
            boot_id=boot_id,
        )
        self._doctor = Doctor(
            runtimes=runtimes,
            fleet=self._fleet,
            catalog=self._catalog,
            rebuild=self._rebuild,
            supervisor=self._supervisor,
            clock=clock,
        )

    async def start(self, *, remove_orphans: bool = False) -> None:
        """Take over what the store holds. Readers are served at once, shims are asked meanwhile.

        What no record owns is looked for a moment later, and removed then only if that is wanted.
        """
        reach("engine.load.begin")
        loaded = await self._store.load()
        reach("engine.load.ended")
        self._fleet.unreadable = dict(loaded.unreadable)
        for sandbox_id, why in loaded.unreadable.items():
            _log.error("record_unreadable", sandbox=sandbox_id, reason=why)
        for snapshot_id, why in loaded.unreadable_snapshots.items():
            _log.error("snapshot_unreadable", snapshot=snapshot_id, reason=why)
            self._catalog.block(snapshot_id)
        for snapshot in loaded.snapshots:
            self._catalog.add(snapshot)
        for record in loaded.records:
            self._catalog.follow(record)
            reach("engine.recovery.begin")
            self._fleet.take_over(record).post(Recovered(boot_id=self._boot_id))
        await self._rebuild.begin(loaded)
        self._supervisor.keep_up(self.rounds.run, name="rounds")
        self._supervisor.keep_up(lambda: watch_clocks(self._clock, self.relist), name="heartbeat")
        self._supervisor.keep_up(lambda: self.health.tend(self._store), name="health")
        self._doctor.begin(delay_s=self._policy.relist_s, remove=remove_orphans)
        reach("engine.recovery.posted")
        _log.info("recovered", sandboxes=len(loaded.records), unreadable=len(loaded.unreadable))

    @property
    def runtimes(self) -> Sequence[str]:
        """Names of the usable runtimes, the default first."""
        return list(self._runtimes)

    async def create(
        self, spec: Spec, *, sandbox_id: str, namespace: str, key: Key | None = None
    ) -> Record:
        """Make and start a sandbox; see facade.Agent."""
        self._refuse_while_draining()
        runtime = self._runtime(spec.runtime)
        complete = replace(spec, runtime=runtime.name)
        runtime.check(complete)
        self._catalog.check_origin(complete)
        chosen = check_id(sandbox_id or self._new_id(key), "sandbox id")
        self._fleet.refuse_unreadable(chosen)
        request = CreateRequested(
            op_id=self._ids.new_id(),
            key=key,
            id=chosen,
            namespace=check_id(namespace or DEFAULT_NAMESPACE, "namespace"),
            incarnation=self._ids.new_id(),
            spec=complete,
            opaque_restore=runtime.capabilities.opaque_restore,
            boot_id=self._boot_id,
        )
        return _answered(await self._fleet.worker_for(chosen).request(request))

    async def get(self, sandbox_id: str) -> Record:
        """One sandbox, after a look at the shim where an outcome is open."""
        worker = self._fleet.worker(sandbox_id)
        if worker.doubtful:
            await self._look_briefly(worker)
        return self._fleet.record_of(worker)

    def resolve(self, text: str) -> str:
        """The id that `text` is, or is the only one to begin with."""
        return self._fleet.resolve(text)

    def view(self) -> Sequence[Record]:
        """All sandboxes from memory, newest first and ended ones last."""
        return self._fleet.view()

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

    async def doctor(self, *, fix: bool) -> Diagnosis:
        """What no record owns on this host; see facade.Agent."""
        if fix:
            self._refuse_while_draining()
        return await self._doctor.called(fix=fix)

    async def pause(
        self, sandbox_id: str, *, expected: Expected = ANYTHING, key: Key | None = None
    ) -> Record:
        """Pause it; see facade.Agent."""
        op_id = self._ids.new_id()
        return await self._ask(sandbox_id, PauseRequested(op_id=op_id, key=key, expected=expected))

    async def resume(
        self, sandbox_id: str, *, expected: Expected = ANYTHING, key: Key | None = None
    ) -> Record:
        """Resume it; see facade.Agent."""
        op_id = self._ids.new_id()
        return await self._ask(sandbox_id, ResumeRequested(op_id=op_id, key=key, expected=expected))

    async def delete(self, sandbox_id: str, *, key: Key | None = None) -> None:
        """End and remove it, in whatever state it is."""
        self._refuse_while_draining()
        lost = self._rebuild.lost(sandbox_id)
        request = DeleteRequested(op_id=self._ids.new_id(), key=key, lost=lost)
        worker = self._fleet.find(sandbox_id)
        if worker is None and lost is not None:
            worker = self._fleet.worker_for(sandbox_id)
        if worker is None:
            await self._told_before(sandbox_id, key)
            return
        await worker.request(request)

    async def commit(
        self, sandbox_id: str, *, snapshot_id: str, key: Key | None = None
    ) -> tuple[Record, Snapshot]:
        """Take a snapshot; see facade.Agent."""
        self._check_snapshots(sandbox_id, snapshot_id)
        with self._catalog.claim(snapshot_id, sandbox_id) as held:
            request = CommitRequested(
                op_id=self._ids.new_id(),
                key=key,
                snapshot_id=snapshot_id,
                catalog=self._catalog.entries,
                claimed=not held,
            )
            record = await self._ask(sandbox_id, request)
        return record, self._catalog.entries[snapshot_id]

    async def rollback(
        self, sandbox_id: str, *, snapshot_id: str, key: Key | None = None
    ) -> Record:
        """Go back to a snapshot; see facade.Agent."""
        self._check_snapshots(sandbox_id, snapshot_id)
        request = RollbackRequested(
            op_id=self._ids.new_id(),
            key=key,
            snapshot_id=snapshot_id,
            catalog=self._catalog.entries,
        )
        return await self._ask(sandbox_id, request)

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

    async def repair(self, sandbox_id: str) -> Record:
        """Put kernel and shim in agreement; see facade.Agent."""
        runtime = self._runtimes.get(
            self._fleet.record_of(self._fleet.worker(sandbox_id)).spec.runtime
        )
        if runtime is None or not runtime.capabilities.heals:
            message = f"the runtime of sandbox {sandbox_id} has no way past its shim"
            raise error(Code.FAILED_PRECONDITION, Reason.HEAL_UNSUPPORTED, message)
        await self._fleet.worker(sandbox_id).look()
        return await self._ask(sandbox_id, RepairRequested(op_id=self._ids.new_id()))

    async def backup(self, name: str) -> Backup:
        """Copy the store; see facade.Agent."""
        return await self._store.backup(backup_name(name, self._clock.now()))

    def hint(
        self, sandbox_id: str, cause: Cause = Cause.EVENT, *, told: State | None = None
    ) -> None:
        """A shim's event: a reason to look, and nothing more. Unknown ids are strangers.

        `told` is the state that it speaks of; where that is what we have, nobody looks.
        """
        worker = self._fleet.find(sandbox_id)
        if worker is not None:
            worker.hint(cause, told)

    def relist(self, reason: str) -> None:
        """Look at every sandbox now: events may have been missed."""
        self.rounds.at_once(reason)

    async def drain(self, grace_s: float) -> int:
        """Refuse new work, let what runs come to its end; the number that had to be left open."""
        self._draining = True
        reach("engine.drain.begin")
        workers = self._fleet.workers()
        if not workers:
            return 0
        quiet = [asyncio.create_task(worker.quiet()) for worker in workers]
        _, busy = await asyncio.wait(quiet, timeout=grace_s)
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        reach("engine.drain.ended")
        return len(busy)

    async def close(self) -> None:
        """End all workers. What is open stays open on disk, for the next start."""
        self._draining = True
        reach("engine.close.begin")
        await self._supervisor.close()
        reach("engine.close.ended")

    async def _ask(self, sandbox_id: str, request: Request) -> Record:
        """Put a request to a sandbox that is there; where an outcome is open, look first."""
        self._refuse_while_draining()
        worker = self._fleet.find(sandbox_id)
        if worker is not None and worker.doubtful:
            await self._look_briefly(worker)
            worker = self._fleet.find(sandbox_id)  # It may have ended while we looked.
        if worker is None:
            return _answered(await self._told_before(sandbox_id, request.key))
        return _answered(await worker.request(request))

    async def _look_briefly(self, worker: Worker) -> None:
        """Ask the shim before a request meets what may be settled by now; not for long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_PATIENCE_S):
                await worker.look()

    async def _told_before(self, sandbox_id: str, key: Key | None) -> Record | None:
        """The answer of a request that is repeated after its sandbox is gone."""
        told = await self._store.outcome(sandbox_id, key.value) if key else None
        if told is None or key is None or told.key != key:
            raise self._fleet.unknown(sandbox_id)
        if told.fault is not None:
            raise CubeletError(told.fault)
        return told.record

    def _store_works(self) -> None:
        for worker in self._fleet.workers():
            worker.store_works()

    def _publish(self, worker: Worker) -> None:
        self._catalog.follow(worker.record, worker.id)
        self._fleet.show(worker)
        self._rebuild.follow(worker)

    def _new_id(self, key: Key | None) -> str:
        """From the key, so that the same create sent twice meets the same sandbox."""
        if key is None:
            return self._ids.new_id()
        return hashlib.sha256(key.value.encode()).hexdigest()[:32]

    def _runtime(self, name: str) -> Runtime:
        chosen = name or next(iter(self._runtimes), "")
        runtime = self._runtimes.get(chosen)
        if runtime is None:
            usable = ", ".join(self._runtimes) or "none"
            message = f"runtime {chosen!r} is not usable here; usable: {usable}"
            raise error(Code.INVALID_ARGUMENT, Reason.UNKNOWN_RUNTIME, message)
        return runtime

    def _check_snapshots(self, sandbox_id: str, snapshot_id: str) -> None:
        check_id(snapshot_id, "snapshot id")
        if snapshot_id == INVALID_BASE:
            message = f"{INVALID_BASE} marks an unusable base, it is no snapshot; choose a name"
            raise error(Code.INVALID_ARGUMENT, Reason.BAD_REQUEST, message)
        record = self._fleet.seen(sandbox_id)
        runtime = self._runtimes.get(record.spec.runtime) if record else None
        if runtime is not None and not runtime.capabilities.snapshots:
            message = f"runtime {runtime.name} of sandbox {sandbox_id} takes no snapshots"
            raise error(Code.FAILED_PRECONDITION, Reason.SNAPSHOTS_UNSUPPORTED, message)

    def _refuse_while_draining(self) -> None:
        if self._draining:
            message = "the agent is shutting down; try again when it is back"
            raise error(Code.UNAVAILABLE, Reason.SHUTTING_DOWN, message)


def _answered(record: Record | None) -> Record:
    assert record is not None  # noqa: S101 - only a delete is answered without a record.
    return record
