"""What is written too late, not at all, or by two at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from cubelet.core import calls, divergence, edges, endings, observe, requests, settle
from cubelet.core.effects import CallRuntime, Complete, Decision
from cubelet.core.inputs import Input
from cubelet.engine.ports import Change as Written
from cubelet.engine.worker import Worker
from tests.sim.disk import Disk
from tests.sim.mutants.base import Change, mutant


@mutant("R10", "I12")
def call_before_its_intent() -> tuple[Change, ...]:
    """The runtime is called while the intent is still on its way to the disk."""
    write = Worker._write

    async def late(self: Worker, happened: Input, decision: Decision) -> bool:
        before, self.record = self.record, decision.record
        for effect in decision.effects:
            if isinstance(effect, CallRuntime):
                self._perform(effect)
        self.record = before
        return await write(self, happened, decision)

    return (Change(Worker, "_write", late),)


@mutant("R10", "I9")
def answer_before_its_commit() -> tuple[Change, ...]:
    """The caller has its answer while the outcome is still on its way to the disk."""
    write = Worker._write

    async def late(self: Worker, happened: Input, decision: Decision) -> bool:
        for effect in decision.effects:
            if isinstance(effect, Complete):
                self._waiters.complete(effect.op_id, decision.record, effect.fault)
        return await write(self, happened, decision)

    return (Change(Worker, "_write", late),)


@mutant("R10", "I9")
def outcome_not_synced() -> tuple[Change, ...]:
    """What a caller is told may be lost by a power cut, as in a store without sync."""
    real = edges.write

    def lax(*args: object, **rest: object) -> Decision:
        return real(*args, **(rest | {"synced": False}))  # type: ignore[arg-type]

    places = (calls, endings, settle)
    return tuple(Change(place, "write", lax) for place in places)


@mutant("R8", "I4")
def resume_intent_not_synced() -> tuple[Change, ...]:
    """The intent of a restore may be lost by a power cut after the shim was asked."""
    real = requests.begin

    def lax(*args: object, **rest: object) -> Decision:
        return real(*args, **(rest | {"synced": False}))  # type: ignore[arg-type]

    return (Change(requests, "begin", lax),)


@mutant("I9", "I2")
def refused_commit_taken_for_done() -> tuple[Change, ...]:
    """A change that the store refused is shown and acknowledged."""
    real = Worker._write

    async def lax(self: Worker, happened: Input, decision: Decision) -> bool:
        refused = self._not_written
        self._not_written = lambda *_: None  # type: ignore[method-assign]
        try:
            await real(self, happened, decision)
        finally:
            self._not_written = refused  # type: ignore[method-assign]
        return True

    return (Change(Worker, "_write", lax),)


@mutant("R9", "I14")
def two_writers() -> tuple[Change, ...]:
    """A sandbox's inputs are not taken one after the other: two decide upon the same record."""

    async def run(self: Worker) -> None:
        while not self.ended:
            happened = await self._inbox.get()
            self._ticked = False
            self._around.supervisor.spawn(self._apply(happened), name="apply")
            await asyncio.sleep(0)
            self.ended = False
            self._note_quiet()

    return (Change(Worker, "_run", run),)


@mutant("I14")
def revision_used_again() -> tuple[Change, ...]:
    """A change without a change of state keeps the revision of the one before it."""
    real = edges.write

    def lax(before: object, after: object, **rest: object) -> Decision:
        decided = real(before, after, **rest)  # type: ignore[arg-type]
        record = decided.record
        if record is None or decided.entries[0].before is not decided.entries[0].after:
            return decided
        entry = replace(decided.entries[0], revision=record.revision - 1)
        older = replace(record, revision=record.revision - 1)
        return replace(decided, record=older, entries=(entry,))

    places = (calls, divergence, endings, observe, requests, settle)
    return tuple(Change(place, "write", lax) for place in places)


@mutant("I14")
def change_without_journal() -> tuple[Change, ...]:
    """What a look has found out is written into the table, and not into the journal."""
    real = edges.write

    def lax(*args: object, **rest: object) -> Decision:
        return replace(real(*args, **rest), entries=())  # type: ignore[arg-type]

    return (Change(observe, "write", lax),)


@mutant("I14", "I9")
def record_written_apart_from_journal() -> tuple[Change, ...]:
    """Record and journal are two transactions, and an agent's death comes between them."""
    real = Disk.submit

    def apart(self: Disk, change: Written) -> asyncio.Future[None]:
        real(self, replace(change, record=self.tables.records.get(change.id)))
        return real(self, replace(change, entries=()))

    return (Change(Disk, "submit", apart),)


@mutant("I14")
def failed_write_leaves_a_gap() -> tuple[Change, ...]:
    """A revision is used up also by a change that the store refused."""
    real = Worker._not_written

    def lax(self: Worker, happened: Input, decision: Decision, fault: object) -> None:
        real(self, happened, decision, fault)  # type: ignore[arg-type]
        if self.record is not None:
            self.record = replace(self.record, revision=self.record.revision + 1)

    return (Change(Worker, "_not_written", lax),)
