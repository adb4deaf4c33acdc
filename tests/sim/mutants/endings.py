"""Deletion that does not win, and sandboxes that are left over."""

from __future__ import annotations

from dataclasses import replace

from cubelet.core import calls, endings, observe, recovery, requests, sweep
from cubelet.core.edges import keep, write
from cubelet.core.effects import CompleteDeletes, Decision, Forget
from cubelet.core.inputs import (
    CallReturned,
    Cause,
    CreateRequested,
    DeleteRequested,
    DestroyEnded,
    Recovered,
)
from cubelet.core.model import Now, OpKind, Record
from cubelet.core.policy import Policy
from cubelet.engine.worker import Worker
from tests.sim.mutants.base import Change, mutant, unchecked


@mutant("R18", "I7")
def tombstone_only_in_memory() -> tuple[Change, ...]:
    """An accepted delete is not written before the sandbox is removed."""
    real = endings.delete

    def light(record: Record, request: DeleteRequested, now: Now) -> Decision:
        return replace(real(record, request, now), persist=False)

    return (Change(endings, "delete", light),)


@mutant("R18", "I7")
def late_completion_resurrects() -> tuple[Change, ...]:
    """A call that comes back after the delete was accepted writes the sandbox as live."""
    real = calls.returned

    def late(record: Record, happened: CallReturned, now: Now) -> Decision:
        if not record.tombstone_at_ns or happened.failure or happened.kind is OpKind.CREATE:
            return real(record, happened, now)
        paused = now.wall_ns if happened.kind is OpKind.PAUSE else 0
        live = replace(record, tombstone_at_ns=0, paused_at_ns=paused)
        return write(record, live, now=now, cause=Cause.RPC, detail="done after all")

    return (unchecked(), Change(calls, "returned", late))


@mutant("R18", "I7")
def forgotten_before_it_is_gone() -> tuple[Change, ...]:
    """A deleted sandbox that could not be removed is forgotten all the same."""
    real = endings.destroy_ended

    def lax(record: Record, happened: DestroyEnded, now: Now) -> Decision:
        return real(record, replace(happened, failure=None), now)

    return (Change(endings, "destroy_ended", lax),)


@mutant("R18", "I7")
def failed_removal_not_repeated() -> tuple[Change, ...]:
    """A removal that failed is not tried again."""
    tick = sweep.ticked

    def ticked(record: Record, now: Now, policy: object) -> Decision:
        if record.tombstone_at_ns and record.delete_failure:
            return keep(record)
        return tick(record, now, policy)  # type: ignore[arg-type]

    return (Change(sweep, "ticked", ticked),)


@mutant("I7")
def tombstone_forgotten_at_recovery() -> tuple[Change, ...]:
    """A new agent takes a sandbox whose delete was accepted for a living one."""
    real = recovery.recovered

    def lax(record: Record, happened: Recovered, now: Now, policy: Policy) -> Decision:
        return real(replace(record, tombstone_at_ns=0), happened, now, policy)

    return (unchecked(), Change(recovery, "recovered", lax))


@mutant("I7")
def failed_create_left_behind() -> tuple[Change, ...]:
    """A create that failed half-way leaves its shim, and no record of it."""

    def lax(record: Record, now: Now, cause: Cause) -> Decision:
        gone = replace(record, tombstone_at_ns=now.wall_ns)
        decided = write(record, gone, now=now, cause=cause, detail="create failed")
        effects = (CompleteDeletes(), Forget())
        return replace(decided, record=None, effects=effects)

    return (Change(calls, "undo_create", lax), Change(observe, "undo_create", lax))


@mutant("I22")
def deleters_not_answered() -> tuple[Change, ...]:
    """Who waits for a sandbox's end is not told of it."""
    real = Worker._perform

    def mute(self: Worker, effect: object) -> None:
        if not isinstance(effect, CompleteDeletes):
            real(self, effect)  # type: ignore[arg-type]

    return (Change(Worker, "_perform", mute),)


@mutant("I6")
def incarnation_is_the_id() -> tuple[Change, ...]:
    """A sandbox that is created again has the incarnation of the one before it."""
    real = requests.create

    def lax(request: CreateRequested, now: Now) -> Decision:
        return real(replace(request, incarnation=request.id), now)

    return (Change(requests, "create", lax),)
