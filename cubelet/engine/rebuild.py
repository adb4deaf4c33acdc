"""After the store was lost, or one record of it: what lives on this host is made known again.

At start, before anybody is served, all that is here and not in the store is listed with the reason
why it cannot be shown. Then its shims are asked, as often as it takes, and each that says what its
sandbox is makes a record of it: one transaction each, so that a restart goes on where this ended.
Only when nothing is left does the store count as complete.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial

import structlog

from cubelet.core.conditions import Condition, ConditionKind
from cubelet.core.evidence import NoAnswer, describe
from cubelet.core.faults import CubeletError
from cubelet.core.inputs import Rediscovered
from cubelet.core.model import Now, Record
from cubelet.crashpoints import reach
from cubelet.engine.catalog import Catalog
from cubelet.engine.executor import Executor
from cubelet.engine.fleet import Fleet
from cubelet.engine.look import look_over
from cubelet.engine.ports import Loaded, Runtime, Store, Trace
from cubelet.engine.questions import Questions
from cubelet.engine.supervisor import Supervisor
from cubelet.engine.worker import Worker

_log = structlog.get_logger("cubelet.rebuild")

#: Between two looks for what nothing can be asked about: only people make it go.
LOOK_AGAIN_S = 60.0


@dataclass(slots=True)
class _Lost:
    """A sandbox without a record in the store: the one beside it, and why that has to do."""

    record: Record
    why: str
    questions: Questions
    #: Whether its shim did not answer the last time.
    silent: bool = False


class Rebuild:
    """One for the engine. Does nothing where the store knows everything."""

    def __init__(
        self,
        *,
        store: Store,
        runtimes: Mapping[str, Runtime],
        executor: Executor,
        fleet: Fleet,
        catalog: Catalog,
        supervisor: Supervisor,
        boot_id: str,
    ) -> None:
        self._store = store
        self._runtimes = runtimes
        self._executor = executor
        self._fleet = fleet
        self._catalog = catalog
        self._supervisor = supervisor
        self._boot_id = boot_id
        self._incomplete = ""
        self._since: Now | None = None
        self._lost: dict[str, _Lost] = {}
        #: Sandboxes of which nothing says what they were, and snapshots that the lost catalog had.
        self._mute: set[str] = set()
        self._images: set[str] = set()
        self._wake = asyncio.Event()

    @property
    def condition(self) -> Condition | None:
        """REBUILDING until everything that lives here is known."""
        if self._since is None or not self._unknown:
            return None
        evidence = (
            f"the store was lost ({self._incomplete}); not known yet:"
            f" {len(self._lost)} sandboxes whose shims were asked,"
            f" {len(self._mute)} of which nothing says what they were,"
            f" {len(self._images)} snapshots"
        )
        return Condition(
            kind=ConditionKind.REBUILDING, since_ns=self._since.wall_ns, evidence=evidence
        )

    @property
    def mute(self) -> AbstractSet[str]:
        """Sandboxes of which nothing says what they were: only people can remove them."""
        return self._mute

    @property
    def images(self) -> AbstractSet[str]:
        """Snapshots that the lost catalog had, and that nobody can use any more."""
        return self._images

    @property
    def _unknown(self) -> bool:
        return bool(self._lost or self._mute or self._images)

    def lost(self, sandbox_id: str) -> Record | None:
        """The record beside a sandbox that is not known again yet: by it, it can be deleted."""
        found = self._lost.get(sandbox_id)
        return found.record if found else None

    def follow(self, worker: Worker) -> None:
        """Note that a sandbox has a record again, be it one of its deletion."""
        if worker.record is None or self._lost.pop(worker.id, None) is None:
            return
        self._fleet.awaited.discard(worker.id)
        if not self._lost:
            self._wake.set()

    async def begin(self, loaded: Loaded) -> None:
        """List what lives here and is not in the store. CubeletError where that cannot be told."""
        if not loaded.incomplete and not loaded.unreadable:
            return
        self._incomplete = loaded.incomplete
        try:
            known = {record.id for record in loaded.records}
            traces = await self._look_twice(but=known)
        except CubeletError:
            if loaded.incomplete:
                raise  # Serving from an empty store would be a guess.
            return
        self._list(traces, loaded)
        if loaded.incomplete:
            self._since = self._executor.clock.now()
            if self._unknown:  # Else it is an agent's first start here.
                _log.error(
                    "store_lost",
                    why=loaded.incomplete,
                    sandboxes=len(self._lost),
                    mute=len(self._mute),
                    snapshots=len(self._images),
                )
        self._supervisor.see_through(self._run, name="rebuild")

    def _list(self, traces: Iterable[Trace], loaded: Loaded) -> None:
        for trace in traces:
            if trace.snapshot_id:
                self._keep_name(trace.snapshot_id)
            elif self._incomplete or trace.sandbox_id in loaded.unreadable:
                self._expect(trace, loaded.unreadable.get(trace.sandbox_id, ""))

    def _keep_name(self, snapshot_id: str) -> None:
        """A snapshot that no catalog has any more must not be overwritten by another."""
        if self._incomplete and snapshot_id not in self._catalog.entries:
            self._catalog.block(snapshot_id)
            self._images.add(snapshot_id)

    def _expect(self, trace: Trace, damage: str) -> None:
        """One sandbox; `damage` is what is wrong with its record, "" where there is none."""
        sandbox_id, record = trace.sandbox_id, trace.record
        why = damage or self._incomplete
        if record is None:
            if not damage:
                self._mute.add(sandbox_id)
                found = ", ".join(trace.what)
                self._fleet.unreadable[sandbox_id] = (
                    f"{why}; nothing here says what it was ({found}); see `cubecli doctor`"
                )
            return
        spawn = partial(self._supervisor.spawn, name=f"question-{sandbox_id}")
        questions = Questions(spawn=spawn, hint=self._wake.set)
        self._lost[sandbox_id] = _Lost(record, why, questions)
        self._fleet.awaited.add(sandbox_id)
        self._fleet.unreadable[sandbox_id] = f"{why}; its shim has not answered yet"

    async def _run(self) -> None:
        """Ask until everybody is known, then note that."""
        looked_mono_s = self._executor.clock.now().mono_s
        while self._unknown:
            self._wake.clear()
            await asyncio.gather(*(self._ask(one) for one in list(self._lost.values())))
            if self._executor.clock.now().mono_s - looked_mono_s >= LOOK_AGAIN_S:
                looked_mono_s = self._executor.clock.now().mono_s
                await self._forget_what_is_gone()
            if self._unknown:
                await self._pause()
        while self._since is not None and not await self._completed():
            await self._pause()

    async def _ask(self, lost: _Lost) -> None:
        """Ask its shim once, and let its worker decide what the answer makes of it."""
        record = lost.record
        async with self._executor.lanes.background(silent=lost.silent):
            evidence = await self._executor.ask(record, lost.questions)
        lost.silent = isinstance(evidence, NoAnswer)
        if self._lost.get(record.id) is not lost:
            return
        reach("engine.rebuild.asked")
        self._fleet.unreadable[record.id] = f"{lost.why}; {describe(evidence)}"
        happened = Rediscovered(
            record=record, evidence=evidence, why=lost.why, boot_id=self._boot_id
        )
        self._fleet.worker_for(record.id).post(happened)

    async def _forget_what_is_gone(self) -> None:
        """What nothing could be asked about, people have removed meanwhile, or not."""
        if not self._mute and not self._images:
            return
        try:
            traces = await self._look(but=[record.id for record in self._fleet.view()])
        except CubeletError as blind:
            _log.warning("traces_not_found", reason=blind.fault.message)
            return
        gone = self._mute - {trace.sandbox_id for trace in traces}
        for sandbox_id in gone:
            self._fleet.unreadable.pop(sandbox_id, None)
        self._mute -= gone
        self._images &= {trace.snapshot_id for trace in traces}

    async def _completed(self) -> bool:
        reach("engine.rebuild.known")
        try:
            await self._store.completed()
        except CubeletError as refused:
            _log.warning("rebuild_not_noted", reason=refused.fault.message)
            return False
        reach("engine.rebuild.completed")
        self._since = None
        _log.info("store_complete")
        return True

    async def _look_twice(self, *, but: Collection[str]) -> Sequence[Trace]:
        """The first look may take too long only because the agent itself was stopped meanwhile."""
        try:
            return await self._look(but=but)
        except CubeletError as blind:
            _log.error("traces_not_found", reason=blind.fault.message)
        return await self._look(but=but)

    async def _look(self, *, but: Collection[str]) -> Sequence[Trace]:
        return [trace for _, trace in await look_over(self._runtimes, but=but)]

    async def _pause(self) -> None:
        """Until the next turn, or until something has changed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._executor.policy.relist_s):
                await self._wake.wait()
