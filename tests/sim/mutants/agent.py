"""Start and end of the agent: what is taken over, and who waits for it."""

from __future__ import annotations

from dataclasses import replace

from cubelet.core import recovery
from cubelet.core.edges import keep
from cubelet.core.effects import Decision
from cubelet.core.inputs import Input, Recovered
from cubelet.core.model import Call, Now, Record
from cubelet.core.policy import Policy
from cubelet.engine.engine import Engine
from cubelet.engine.fleet import Fleet
from cubelet.engine.worker import Worker
from tests.sim.mutants.base import Change, mutant


def _ignored(happened: Input) -> None:
    """Nobody takes it out of the box."""


@mutant("I16")
def start_waits_for_shims() -> tuple[Change, ...]:
    """A new agent serves only when every shim has been asked."""
    real = Engine.start

    async def patient(self: Engine) -> None:
        await real(self)
        for worker in self._fleet.workers():
            await worker.look()

    return (Change(Engine, "start", patient),)


@mutant("R10", "I2", "I12")
def open_intents_forgotten_at_recovery() -> tuple[Change, ...]:
    """A new agent forgets the operation that the old one had begun."""
    real = recovery.recovered

    def lax(record: Record, happened: Recovered, now: Now, policy: Policy) -> Decision:
        return real(replace(record, open=None), happened, now, policy)

    return (Change(recovery, "recovered", lax),)


@mutant("R10", "I2")
def calls_still_in_flight_at_recovery() -> tuple[Change, ...]:
    """A new agent waits for the calls of the old one."""

    def lax(record: Record, happened: Recovered, now: Now, policy: Policy) -> Decision:
        return keep(record) if record.open else real(record, happened, now, policy)

    real = recovery.recovered
    return (Change(recovery, "recovered", lax),)


@mutant("R1", "I1")
def calls_taken_for_over_at_recovery() -> tuple[Change, ...]:
    """A new agent takes the old one's calls for answered, and settles them by its first look."""
    real = recovery.recovered

    def lax(record: Record, happened: Recovered, now: Now, policy: Policy) -> Decision:
        decided = real(record, happened, now, policy)
        after = decided.record
        if after is None or after.open is None:
            return decided
        over = replace(after.open, call=Call.ANSWERED)
        return replace(decided, record=replace(after, open=over))

    return (Change(recovery, "recovered", lax),)


@mutant("I13", "R10")
def keys_dropped_at_recovery() -> tuple[Change, ...]:
    """A new agent drops the keys of the operations that it takes over."""
    real = recovery.recovered

    def lax(record: Record, happened: Recovered, now: Now, policy: Policy) -> Decision:
        decided = real(record, happened, now, policy)
        after = decided.record
        if after is None or after.open is None:
            return decided
        return replace(decided, record=replace(after, open=replace(after.open, keys=())))

    return (Change(recovery, "recovered", lax),)


@mutant("I2")
def recovery_drives_nobody() -> tuple[Change, ...]:
    """A new agent shows what it has read, and looks after none of it."""
    real = Fleet.take_over

    def idle(self: Fleet, record: Record) -> Worker:
        worker = real(self, record)
        worker.post = _ignored  # type: ignore[method-assign]
        return worker

    return (Change(Fleet, "take_over", idle),)
