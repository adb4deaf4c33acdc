"""The engine: its parts put to work, and taken out of it again."""

from __future__ import annotations

import asyncio

import structlog

from cubelet.core.inputs import Cause, Recovered
from cubelet.core.model import State
from cubelet.crashpoints import reach
from cubelet.engine.heartbeat import watch_clocks
from cubelet.engine.insight import Insight
from cubelet.engine.requests import Requests

_log = structlog.get_logger("cubelet.engine")


class Engine(Requests, Insight):
    """Implements facade.Agent over the ports. Built by app; one per process.

    `runtimes` are those that are usable here, the default one first. `boot_id` is that of the host,
    "" where it is not known: then no restart of the host is noticed as such.
    """

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
