"""Orphans: what lies on this host and belongs to no record. Found, told, and removed if asked for.

Nothing is an orphan that anybody owned at any moment of the look, as a look takes its time while
sandboxes come and go; and what is removed is held, so that nobody begins to own it meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import structlog

from cubelet.core.conditions import Condition, ConditionKind
from cubelet.core.faults import CubeletError
from cubelet.core.node import Diagnosis, Orphan
from cubelet.engine.catalog import Catalog
from cubelet.engine.fleet import Fleet
from cubelet.engine.look import look_over
from cubelet.engine.ports import CallFailed, Clock, Runtime, Trace
from cubelet.engine.rebuild import Rebuild
from cubelet.engine.supervisor import Supervisor

_log = structlog.get_logger("cubelet.doctor")

#: How long the removal of one may take; by the port's promise it ends before.
CLEAR_TIMEOUT_S: Final = 30.0
#: After this time no other removal is begun, so that the caller has an answer within a minute.
REMOVING_S: Final = 25.0
#: Removals at a time.
REMOVALS_MAX: Final = 8
#: Orphans that are told of, and removed, at a time; more of them are counted.
ORPHANS_MAX: Final = 1000

_Found = tuple[Runtime, Trace]


class Doctor:
    """One for the engine."""

    def __init__(
        self,
        *,
        runtimes: Mapping[str, Runtime],
        fleet: Fleet,
        catalog: Catalog,
        rebuild: Rebuild,
        supervisor: Supervisor,
        clock: Clock,
    ) -> None:
        self._runtimes = runtimes
        self._fleet = fleet
        self._catalog = catalog
        self._rebuild = rebuild
        self._supervisor = supervisor
        self._clock = clock
        self._turn = asyncio.Lock()
        self._left = 0
        self._since_ns = 0

    @property
    def condition(self) -> Condition | None:
        """ORPHANS while the last look has left any."""
        if not self._left:
            return None
        evidence = f"{self._left} left by sandboxes that no record owns; see `cubecli doctor`"
        return Condition(kind=ConditionKind.ORPHANS, since_ns=self._since_ns, evidence=evidence)

    def begin(self, *, delay_s: float, remove: bool) -> None:
        """Look once in the background, when the agent has come to rest, and log what is found."""
        self._supervisor.spawn(self._at_start(delay_s, remove=remove), name="doctor")

    async def called(self, *, fix: bool) -> Diagnosis:
        """As `examine`, which goes on where the caller leaves."""
        answer: asyncio.Future[Diagnosis] = asyncio.get_running_loop().create_future()

        async def work() -> None:
            try:
                diagnosis = await self.examine(fix=fix)
            except CubeletError as blind:
                if not answer.done():
                    answer.set_exception(blind)
            else:
                if not answer.done():
                    answer.set_result(diagnosis)
            finally:
                answer.cancel()  # Nothing where it has its answer.

        self._supervisor.spawn(work(), name="doctor-called")
        return await answer

    async def _at_start(self, delay_s: float, *, remove: bool) -> None:
        """What a lost store knew is never removed so, nor any snapshot.

        Only people can tell whether a copy of the store is to be put back.
        """
        diagnosis: Diagnosis | None = None
        while diagnosis is None:
            await asyncio.sleep(delay_s)
            diagnosis = await self._tried(fix=False)
        for orphan in diagnosis.orphans:
            _log.warning(
                "orphan", sandbox=orphan.sandbox_id, runtime=orphan.runtime, found=orphan.found
            )
        if diagnosis.more:
            _log.warning("more_orphans", count=diagnosis.more)
        if remove and diagnosis.orphans and self._rebuild.condition is None:
            await self._tried(fix=True)

    async def _tried(self, *, fix: bool) -> Diagnosis | None:
        """Look, or log why that cannot be done."""
        try:
            return await self.examine(fix=fix, snapshots=False)
        except CubeletError as blind:
            _log.error("orphans_not_looked_for", reason=blind.fault.message)
            return None

    async def examine(self, *, fix: bool, snapshots: bool = True) -> Diagnosis:
        """Look over the host now; with `fix`, remove what is found, of snapshots too if told.

        One at a time. CubeletError where the host cannot be looked over in full.
        """
        async with self._turn:
            found = await self._look()
            told = found[:ORPHANS_MAX]
            orphans = [_orphan(trace) for _, trace in told]
            if fix:
                wanted = [one for one in told if snapshots or not one[1].snapshot_id]
                orphans = list(await self._remove(wanted))
            self._note(len(found) - sum(orphan.removed for orphan in orphans))
            return Diagnosis(orphans=tuple(orphans), more=len(found) - len(told))

    def _note(self, left: int) -> None:
        if left and not self._left:
            self._since_ns = self._clock.now().wall_ns
        self._left = left

    async def _look(self) -> list[_Found]:
        """Every trace that nobody owned while we looked, by sandbox."""
        with self._fleet.noting() as owned:
            names = self._catalog.names()
            found = await look_over(self._runtimes, but=frozenset(owned))
        owned |= self._fleet.unreadable.keys() - self._rebuild.mute
        names |= self._catalog.names()
        names -= self._rebuild.images
        orphans = [
            (runtime, trace)
            for runtime, trace in found
            if trace.sandbox_id not in owned and trace.snapshot_id not in names
        ]
        return sorted(orphans, key=lambda one: (one[1].sandbox_id, one[1].runtime, one[1].what))

    async def _remove(self, found: Sequence[_Found]) -> Sequence[Orphan]:
        """Some at a time, for a limited time."""
        turns = asyncio.Semaphore(REMOVALS_MAX)
        until_mono_s = self._clock.now().mono_s + REMOVING_S

        async def remove(runtime: Runtime, trace: Trace) -> Orphan:
            async with turns:
                if self._clock.now().mono_s >= until_mono_s:
                    return replace(_orphan(trace), failure="not tried, as the others took too long")
                failure = await self._removed(runtime, trace)
            _log.info("orphan_removal", sandbox=trace.sandbox_id, found=trace.what, failure=failure)
            return replace(_orphan(trace), removed=not failure, failure=failure)

        return await asyncio.gather(*(remove(runtime, trace) for runtime, trace in found))

    async def _removed(self, runtime: Runtime, trace: Trace) -> str:
        """Remove one; why that did not work, "" where it did."""
        try:
            with self._held(trace) as held:
                if not held:
                    return "somebody owns it by now"
                async with asyncio.timeout(CLEAR_TIMEOUT_S):
                    await runtime.clear(trace)
        except TimeoutError:
            return f"it took longer than {CLEAR_TIMEOUT_S:g} s"
        except CallFailed as failed:
            return failed.fault.message
        except CubeletError as failed:
            return failed.fault.message
        except Exception as bug:  # noqa: BLE001 - one that cannot be removed is not to stop the rest.
            _log.error("adapter_bug", sandbox=trace.sandbox_id, exc_info=bug)
            return f"the adapter of runtime {runtime.name} broke ({type(bug).__name__})"
        return ""

    @contextmanager
    def _held(self, trace: Trace) -> Iterator[bool]:
        """Keep a new sandbox, or a commit, from taking the name; False where one has it."""
        if trace.snapshot_id in self._rebuild.images:
            yield True  # Nobody can take it.
        elif trace.snapshot_id:
            with self._catalog.claim(trace.snapshot_id, "") as held:
                yield held and trace.snapshot_id not in self._catalog.entries
        else:
            with self._fleet.holding(trace.sandbox_id, but=self._rebuild.mute) as held:
                yield held


def _orphan(trace: Trace) -> Orphan:
    return Orphan(sandbox_id=trace.sandbox_id, runtime=trace.runtime, found=trace.what)
