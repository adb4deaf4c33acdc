"""The simulated runtime: implements the engine's Runtime port over simulated shims."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from cubelet.core.bindings import CommitPlan, Snapshot
from cubelet.core.evidence import Evidence, NoAnswer
from cubelet.core.faults import Reason
from cubelet.core.model import Call, Handle, Record
from cubelet.core.spec import Spec
from cubelet.engine.ports import CallFailed, Capabilities, Committed, Trace
from shimclient.fake.memory import Memory
from tests.sim import status
from tests.sim.calls import ShimCall, draw, failure
from tests.sim.shim import Shim
from tests.sim.status import AdapterBug
from tests.sim.vm import Host
from tests.sim.world import World


class SimRuntime:
    """`freezer`: a pause freezes processes, as runc's; else a resume is an opaque restore."""

    def __init__(self, world: World, host: Host, name: str) -> None:
        self.name = name
        self.world = world
        self.host = host
        self.shims: dict[str, Shim] = {}
        #: What lies beside each shim, by incarnation: the record that it was made with.
        self.records: dict[str, Record] = {}
        self._pids = 1000 if host.freezer else 500_000
        self.capabilities = Capabilities(
            opaque_restore=not host.freezer,
            status_blocks_during_ops=host.status_waits,
            publishes_pause_events=not world.swarm.has("no_events"),
            snapshots=True,
            second_witness=host.freezer,
            heals=host.freezer,
        )

    def check(self, spec: Spec) -> None:
        """Runs anything."""

    def find(self, record: Record) -> Shim | None:
        """The shim of this incarnation, if one was ever begun."""
        return self.shims.get(record.incarnation)

    async def create(self, record: Record) -> Handle:
        """In the agent's own steps, so that its death leaves a half-made one behind."""
        world, swarm = self.world, self.world.swarm
        world.note(f"{record.id} create called, epoch {record.epoch}")
        self.world.judge.calling(record, "create", None)
        mishap = swarm.first("create_fails", "create_half", "create_slow", "create_hangs")
        await asyncio.sleep(world.rng.uniform(0.01, 0.3))
        if mishap == "create_fails":
            raise failure("no room for a shim", call=Call.ANSWERED)
        shim = self._new(record)
        if mishap == "create_half":
            raise failure("the command is not there", call=Call.ANSWERED)
        slow_s = {"create_slow": world.rng.uniform(5, 70), "create_hangs": 1e6}.get(mishap, 0.0)
        await asyncio.sleep(world.work_time(slow_s + world.rng.uniform(0.01, 0.5)))
        if shim.gone:
            raise failure("the shim is gone", call=Call.ANSWERED)
        shim.start()
        return shim.handle

    async def pause(self, record: Record) -> None:
        """See the port."""
        await self._call("pause", record)

    async def resume(self, record: Record) -> None:
        """See the port."""
        await self._call("resume", record)

    async def commit(self, record: Record, plan: CommitPlan) -> Committed:
        """See the port."""
        committed = await self._call("commit", record, plan=plan)
        assert isinstance(committed, Committed)
        return committed

    async def rollback(self, record: Record, snapshot: Snapshot) -> int:
        """See the port."""
        generation = await self._call("rollback", record, snapshot=snapshot)
        assert isinstance(generation, int)
        return generation

    async def state(self, record: Record) -> Evidence:
        """See the port."""
        shim = self.find(record)
        if shim is None or not shim.started:
            return NoAnswer(why="no shim of it is known")
        evidence = await status.ask(self.world, shim)
        self.world.note(f"{shim.id} answers {evidence}")
        return evidence

    async def heal(self, record: Record, *, frozen: bool) -> None:
        """See the port."""
        shim = self.find(record)
        self.world.judge.healing(record, shim)
        await self._nap(0.05)
        if shim is None or shim.gone or self.world.swarm.fires("heal_fails"):
            raise failure("runc refused", call=Call.ANSWERED)
        self.world.note(f"{shim.id} is healed, frozen {frozen}")
        shim.set_frozen(frozen, by="heal")

    async def destroy(self, record: Record) -> None:
        """See the port. Hung or not: by the identity of its processes."""
        self.world.judge.destroying(record)
        swarm = self.world.swarm
        slow_s = self.world.rng.uniform(1, 40) if swarm.fires("destroy_slow") else 0.02
        if swarm.fires("destroy_hangs"):
            slow_s = 1e6
        await self._nap(slow_s)
        if swarm.fires("destroy_fails"):
            raise failure("device or resource busy", call=Call.ANSWERED)
        shim = self.find(record)
        if shim is not None:
            shim.end(None)
            shim.cleared = True
        self.world.note(f"{record.id} is destroyed")

    async def traces(self, but: Collection[str] = frozenset()) -> Sequence[Trace]:
        """See the port. Beside every shim lies the record that made it, and which process it is."""
        await self._nap(0.01)
        sandboxes = [
            Trace(
                sandbox_id=shim.id,
                runtime=self.name,
                what=(f"shim {shim.handle.shim_pid}",),
                record=replace(
                    self.records[shim.incarnation],
                    open=None,
                    handle=shim.handle if shim.started else None,
                ),
            )
            for shim in self.shims.values()
            if not shim.cleared and shim.id not in but
        ]
        images = [
            Trace(sandbox_id="", runtime=self.name, what=("image",), snapshot_id=name)
            for name in self.host.images
        ]
        return [*sandboxes, *images]

    async def clear(self, trace: Trace) -> None:
        """See the port."""
        await self._nap(0.05)
        for shim in self.shims.values():
            if shim.id == trace.sandbox_id:
                shim.end(None)
                shim.cleared = True
        self.world.note(f"what was left of {trace.sandbox_id} is cleared")

    async def _call(
        self,
        kind: str,
        record: Record,
        *,
        plan: CommitPlan | None = None,
        snapshot: Snapshot | None = None,
    ) -> Any:
        shim = self.find(record)
        call = draw(self.world, kind, record, freezer=self.host.freezer)
        call.plan, call.snapshot = plan, snapshot
        if shim is not None and shim.next_mishap and not self.world.swarm.over:
            call.mishap, shim.next_mishap = shim.next_mishap, ""
        self.world.note(f"{record.id} {kind} called, epoch {record.epoch} {call.mishap}")
        self.world.judge.calling(record, kind, call)
        if shim is None or not shim.started:
            call.over = True
            call.seen = "failed"
            raise failure("no shim", call=Call.ANSWERED, reason=Reason.RUNTIME_UNREACHABLE)
        shim.receive(call)
        try:
            value = await call.reply
        except CallFailed:
            self._seen(record, call)
            raise
        self._seen(record, call)
        if self.world.swarm.fires("adapter_raises"):
            call.seen = "failed, adapter bug"
            raise AdapterBug
        return value

    def _seen(self, record: Record, call: ShimCall) -> None:
        self.world.note(f"{record.id} {call.kind} of epoch {record.epoch}: {call.seen}")
        self.world.judge.called(record, call)

    async def _nap(self, delay_s: float) -> None:
        await asyncio.sleep(self.world.work_time(delay_s))

    def _new(self, record: Record) -> Shim:
        self._pids += 2
        shim = Shim(self.host, record.id, record.incarnation, self._pids)
        self.shims[record.incarnation] = shim
        self.records[record.incarnation] = record
        if record.spec.snapshot:
            image = self.host.images.get(record.spec.snapshot)
            if image is None:
                raise failure("no such snapshot", call=Call.ANSWERED)
            shim.memory = Memory.created_from(image, seed=self._pids)
        return shim
