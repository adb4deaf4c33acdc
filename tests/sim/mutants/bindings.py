"""Rows of the binding table: when a base is thrown away, kept, and built upon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cubelet.core import bindings, calls, observe, requests, snapshots
from cubelet.core.bindings import (
    INVALID_BASE,
    Binding,
    Bindings,
    Catalog,
    CommitPlan,
    Mode,
    bound_to,
)
from cubelet.core.effects import Decision
from cubelet.core.evidence import Alive, Evidence, Status
from cubelet.core.inputs import (
    CallReturned,
    Cause,
    CommitRequested,
    Input,
    Observed,
    RollbackRequested,
)
from cubelet.core.model import Now, Operation, OpKind, Record, State
from cubelet.core.policy import Policy
from cubelet.engine.engine import Engine
from cubelet.engine.worker import Worker
from tests.sim.agent import Agent
from tests.sim.mutants.base import Change, mutant


@mutant("R8", "I4", "B1")
def invalidated_only_on_success() -> tuple[Change, ...]:
    """Only the resume's own success invalidates the bindings: nothing is written before it."""
    after = calls._bindings_after

    def late(record: Record, op: Operation, happened: CallReturned, now: Now) -> Bindings:
        if op.kind is OpKind.RESUME and record.opaque_restore:
            return record.bindings.invalidated(now.wall_ns)
        return after(record, op, happened, now)

    return (
        Change(requests, "_invalidated", lambda record, _: record),
        Change(observe, "_restored", lambda record, _: record),
        Change(observe, "_bindings_followed", lambda record, *_: record),
        Change(calls, "_bindings_after", late),
    )


@mutant("R8", "I4", "B1")
def not_invalidated_before_the_call() -> tuple[Change, ...]:
    """The intent of a resume leaves the bindings as they are; looks invalidate them."""
    return (Change(requests, "_invalidated", lambda record, _: record),)


@mutant("R7", "I4", "I10", "B2")
def invalidated_by_every_event() -> tuple[Change, ...]:
    """An event of a resume is taken for another restore, also one that is late or comes twice."""
    real = Agent._hint

    def believed(self: Agent, sandbox_id: str, topic: str) -> None:
        assert self.engine is not None
        worker = self.engine._fleet.find(sandbox_id)
        record = worker.record if worker else None
        if worker is None or record is None or topic != "resumed" or not record.opaque_restore:
            real(self, sandbox_id, topic)
        elif record.state is State.RUNNING and record.open is None:
            now = worker._around.clock.now()
            worker.post(_restored_again(record, now))

    return (Change(Agent, "_hint", believed),)


def _restored_again(record: Record, now: Now) -> Observed:
    pid = record.handle.pid if record.handle else 0
    generation = record.bindings.generation + 1
    return Observed(
        cause=Cause.EVENT,
        epoch=record.epoch,
        incarnation=record.incarnation,
        call=None,
        evidence=Alive(status=Status.RUNNING, pid=pid, generation=generation),
        asked_mono_s=now.mono_s,
    )


@mutant("R8", "I4", "B3")
def not_invalidated_at_recovery() -> tuple[Change, ...]:
    """A sandbox that was resumed while the agent was down keeps its bindings."""
    real = observe.observed

    def careless(record: Record, happened: Observed, now: Now, policy: Policy) -> Decision:
        decided = real(record, happened, now, policy)
        after = decided.record
        if happened.cause is not Cause.RECOVERY or after is None:
            return decided
        return replace(decided, record=replace(after, bindings=record.bindings))

    return (Change(observe, "observed", careless),)


@mutant("R8", "I4", "B4")
def resume_behind_our_back_keeps_bindings() -> tuple[Change, ...]:
    """A look that finds a paused sandbox running does not invalidate the bindings."""
    return (
        Change(observe, "_restored", lambda record, _: record),
        Change(observe, "_bindings_followed", lambda record, *_: record),
    )


@mutant("R8", "I4", "B4")
def generation_not_followed() -> tuple[Change, ...]:
    """A restore that happened between two looks, told only by its generation, is not noticed."""

    def blind(record: Record, evidence: Evidence, now: Now) -> Record:
        return record

    return (Change(observe, "_bindings_followed", blind),)


@mutant("I4", "B5")
def commit_keeps_old_binding_in_doubt() -> tuple[Change, ...]:
    """While a commit's outcome is not known, the sandbox stays bound to the snapshot before it."""
    real = snapshots.commit

    def lax(record: Record, request: CommitRequested, now: Now) -> Decision:
        decided = real(record, request, now)
        if decided.record is None or not decided.persist:
            return decided
        return replace(decided, record=replace(decided.record, bindings=record.bindings))

    return (Change(snapshots, "commit", lax),)


@mutant("I4", "B6")
def unproven_taken_as_base() -> tuple[Change, ...]:
    """A commit may build upon a name that an unproven commit has left in the binding."""
    real = bindings.plan_commit

    def trusting(
        name: str, bound: Bindings, annotations: Mapping[str, str], catalog: Catalog
    ) -> CommitPlan:
        proven = replace(bound, runtime=replace(bound.runtime, proven=True))
        return real(name, proven, annotations, catalog)

    return (Change(snapshots, "plan_commit", trusting),)


@mutant("R8", "I4", "B8")
def generation_not_compared() -> tuple[Change, ...]:
    """A commit does not tell the runtime for which restore generation its base is right."""
    real = bindings.plan_commit

    def lax(
        name: str, bound: Bindings, annotations: Mapping[str, str], catalog: Catalog
    ) -> CommitPlan:
        return replace(real(name, bound, annotations, catalog), generation=None)

    return (Change(snapshots, "plan_commit", lax),)


@mutant("I4", "B9")
def sentinel_accepted() -> tuple[Change, ...]:
    """The sentinel may be the name of a real snapshot, and so becomes a base."""
    plan, unfit, check = bindings.plan_commit, snapshots._unfit, Engine._check_snapshots

    def lax(record: Record, request: CommitRequested, verb: object) -> object:
        other = replace(request, snapshot_id="another")
        return unfit(record, other, verb)  # type: ignore[arg-type]

    def planned(
        name: str, bound: Bindings, annotations: Mapping[str, str], catalog: Catalog
    ) -> CommitPlan:
        if bound.invalid and INVALID_BASE in catalog:
            return CommitPlan(snapshot_id=name, mode=Mode.SOFT_DIRTY, base_id=INVALID_BASE)
        return plan(name, bound, annotations, catalog)

    def laxer(self: Engine, sandbox_id: str, snapshot_id: str) -> None:
        check(self, sandbox_id, "another")

    return (
        Change(snapshots, "_unfit", lax),
        Change(Engine, "_check_snapshots", laxer),
        Change(snapshots, "plan_commit", planned),
    )


@mutant("I4", "B9")
def invalid_bindings_removed() -> tuple[Change, ...]:
    """An invalid binding is removed, so that a commit falls through to the create's snapshot."""

    def emptied(self: Bindings, at_ns: int) -> Bindings:
        return replace(self, runtime=Binding(), restore=Binding())

    return (Change(Bindings, "invalidated", emptied),)


@mutant("I4", "B10")
def rollback_bound_before_the_call() -> tuple[Change, ...]:
    """The intent of a rollback binds to its target, before the shim has gone back to it."""
    real = snapshots.rollback

    def early(record: Record, request: RollbackRequested, now: Now) -> Decision:
        decided = real(record, request, now)
        if decided.record is None or not decided.persist:
            return decided
        generation = record.bindings.generation
        bound = bound_to(request.snapshot_id, at_ns=now.wall_ns, generation=generation)
        return replace(decided, record=replace(decided.record, bindings=bound))

    return (Change(snapshots, "rollback", early),)


@mutant("I4", "B11")
def thaw_taken_for_a_restore() -> tuple[Change, ...]:
    """A runtime whose pause freezes processes loses its bindings at each resume."""
    real = requests.operation

    def rash(record: Record, request: object, now: Now) -> Decision:
        return real(replace(record, opaque_restore=True), request, now)  # type: ignore[arg-type]

    return (Change(requests, "operation", rash),)


@mutant("I9", "B12")
def snapshot_of_a_commit_not_kept() -> tuple[Change, ...]:
    """A commit is answered OK, and its snapshot is in the catalog only until the agent ends."""
    real = Worker._write

    async def light(self: Worker, happened: Input, decision: Decision) -> bool:
        written = await real(self, happened, replace(decision, snapshots=()))
        for snapshot in decision.snapshots if written else ():
            self._around.catalogue(snapshot)
        return written

    return (Change(Worker, "_write", light),)
