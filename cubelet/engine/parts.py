"""What the engine is made of, put together: the ground on which its groups of requests stand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from cubelet.core.faults import Code, Reason, error
from cubelet.core.policy import Policy
from cubelet.engine.catalog import Catalog
from cubelet.engine.doctor import Doctor
from cubelet.engine.executor import Executor
from cubelet.engine.fleet import Fleet
from cubelet.engine.health import Health, WatchedStore
from cubelet.engine.ports import Chance, Clock, Hooks, Ids, Runtime, Store
from cubelet.engine.rebuild import Rebuild
from cubelet.engine.rounds import Rounds
from cubelet.engine.supervisor import Supervisor
from cubelet.engine.transitions import TransitionLog
from cubelet.engine.worker import Surroundings, Worker

#: How long a request waits for a look at a sandbox whose outcome is open. A shim that answers does
#: so in a few milliseconds; for another the settle loop waits, not the caller.
LOOK_PATIENCE_S = 0.5


class Parts:
    """All of them; see `Engine` for what it takes. Starts nothing."""

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

    async def _look_briefly(self, worker: Worker) -> None:
        """Ask the shim before a request meets what may be settled by now; not for long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_PATIENCE_S):
                await worker.look()

    def _refuse_while_draining(self) -> None:
        if self._draining:
            message = "the agent is shutting down; try again when it is back"
            raise error(Code.UNAVAILABLE, Reason.SHUTTING_DOWN, message)

    def _store_works(self) -> None:
        for worker in self._fleet.workers():
            worker.store_works()

    def _publish(self, worker: Worker) -> None:
        self._catalog.follow(worker.record, worker.id)
        self._fleet.show(worker)
        self._rebuild.follow(worker)
