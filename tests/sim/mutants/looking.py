"""Rounds, events and hints: not looked at all, or believed without a look."""

from __future__ import annotations

import asyncio

from cubelet.core import sweep
from cubelet.core.edges import keep
from cubelet.core.effects import Decision
from cubelet.core.evidence import Alive, Ended, Status
from cubelet.core.inputs import Cause, Observed
from cubelet.core.model import Now, Record
from cubelet.core.policy import Policy
from cubelet.engine.engine import Engine
from cubelet.engine.rounds import Rounds
from cubelet.engine.waiters import Waiters
from tests.sim.agent import Agent
from tests.sim.mutants.base import Change, mutant

_EVENTS = {"paused": Status.PAUSED, "resumed": Status.RUNNING}


@mutant("R2", "I3")
def no_relist() -> tuple[Change, ...]:
    """No round is made: what nobody tells is not found out."""

    async def never(self: Rounds) -> None:
        await asyncio.sleep(1e9)

    return (Change(Rounds, "run", never),)


@mutant("R2", "I3")
def relist_skips_paused() -> tuple[Change, ...]:
    """The round leaves PAUSED sandboxes alone, as the dead-GC of PR 404 does."""
    real = sweep.ticked

    def lax(record: Record, now: Now, policy: Policy) -> Decision:
        return (
            keep(record) if record.paused_at_ns and not record.open else real(record, now, policy)
        )

    return (Change(sweep, "ticked", lax),)


@mutant("R6", "I10", "I11")
def events_write_state() -> tuple[Change, ...]:
    """An event's topic is taken for the state, without a look."""

    def believed(self: Agent, sandbox_id: str, topic: str) -> None:
        assert self.engine is not None
        worker = self.engine._fleet.find(sandbox_id)
        record = worker.record if worker else None
        status = _EVENTS.get(topic)
        if worker is None or record is None or record.handle is None or status is None:
            real(self, sandbox_id, topic)
            return
        op = record.open
        said = Alive(status=status, pid=record.handle.pid, generation=None)
        worker.post(
            Observed(
                cause=Cause.EVENT,
                epoch=record.epoch,
                incarnation=record.incarnation,
                call=op.call if op else None,
                evidence=said,
                asked_mono_s=worker._around.clock.now().mono_s,
            )
        )

    real = Agent._hint
    return (Change(Agent, "_hint", believed),)


@mutant("R14", "I3")
def gap_goes_unnoticed() -> tuple[Change, ...]:
    """A broken event stream, or a jump of time, is no reason to look."""
    return (Change(Engine, "relist", lambda *_: None),)


@mutant("I22", "I1")
def lookers_not_woken() -> tuple[Change, ...]:
    """A look that a caller waits for, and that finds nothing to ask, is not answered."""
    return (Change(Waiters, "wake_lookers", lambda self: None),)


@mutant("R14", "I2")
def round_dies_of_its_first_bug() -> tuple[Change, ...]:
    """The round ends for good once it has been made a few times, as an unsupervised loop does."""

    async def mortal(self: Rounds) -> None:
        for _ in range(3):
            await self._go_round()
            self._ended_mono_s = self._clock.now().mono_s
        await asyncio.sleep(1e9)

    return (Change(Rounds, "run", mortal),)


@mutant("R6", "I10")
def exit_event_ends() -> tuple[Change, ...]:
    """An event of an exit ends a sandbox, without a look whether it is this one."""
    real = Agent._hint

    def believed(self: Agent, sandbox_id: str, topic: str) -> None:
        assert self.engine is not None
        worker = self.engine._fleet.find(sandbox_id)
        record = worker.record if worker else None
        if worker is None or record is None or topic != "exit":
            real(self, sandbox_id, topic)
            return
        worker.post(
            Observed(
                cause=Cause.EXIT,
                epoch=record.epoch,
                incarnation=record.incarnation,
                call=record.open.call if record.open else None,
                evidence=Ended(exit_code=1, finished_at_ns=0),
                asked_mono_s=worker._around.clock.now().mono_s,
            )
        )

    return (Change(Agent, "_hint", believed),)
