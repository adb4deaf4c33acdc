"""`step`: the only function that makes the next record. Pure and total.

Requests that are refused, answers that came too late, hints without meaning: all are decisions too,
mostly to change nothing. Nothing is raised, but for an assertion where the table would be broken.
"""

from __future__ import annotations

from typing import assert_never

from cubelet.core import (
    calls,
    divergence,
    endings,
    keys,
    observe,
    recovery,
    rediscovery,
    requests,
    snapshots,
    sweep,
)
from cubelet.core.edges import keep
from cubelet.core.effects import Decision, Query
from cubelet.core.inputs import (
    Asked,
    CallOverdue,
    CallReturned,
    CommitRequested,
    CreateRequested,
    DeleteRequested,
    DestroyEnded,
    HealEnded,
    Input,
    LookRequested,
    Observed,
    PauseRequested,
    Recovered,
    Rediscovered,
    RepairRequested,
    Request,
    ResumeRequested,
    RollbackRequested,
    Ticked,
)
from cubelet.core.model import Call, Now, Record
from cubelet.core.policy import Policy


def step(  # noqa: C901, PLR0911 - one arm for each input of the closed union.
    record: Record | None, happened: Input, now: Now, policy: Policy
) -> Decision:
    """Decide what one input means for one sandbox; `record` None: there is none (any more)."""
    if isinstance(happened, Asked):
        return keys.known(record, happened) or _requested(record, happened, now)
    if isinstance(happened, Rediscovered):
        return rediscovery.rediscovered(record, happened, now)
    if record is None:
        # What is left of a sandbox that is gone: a late call, an answer, a hint.
        return keep(None)
    match happened:
        case CallOverdue():
            return calls.overdue(record, happened, now)
        case CallReturned():
            return calls.returned(record, happened, now)
        case Observed():
            return observe.observed(record, happened, now, policy)
        case LookRequested():
            return _look(record, happened)
        case Ticked():
            return sweep.ticked(record, now, policy)
        case HealEnded():
            return divergence.heal_ended(record, happened, now, policy)
        case DestroyEnded():
            return endings.destroy_ended(record, happened, now)
        case Recovered():
            return recovery.recovered(record, happened, now, policy)
        case _ as unreachable:
            assert_never(unreachable)


def _requested(  # noqa: PLR0911 - one arm for each request of the closed union.
    record: Record | None, request: Request, now: Now
) -> Decision:
    if record is None:
        if isinstance(request, CreateRequested):
            return requests.create(request, now)
        if isinstance(request, DeleteRequested) and request.lost is not None:
            return rediscovery.deleted(request.lost, request, now)
        return requests.refuse_unknown(request)
    match request:
        case CreateRequested():
            return requests.refuse_create(record, request)
        case PauseRequested() | ResumeRequested():
            return requests.operation(record, request, now)
        case CommitRequested():
            return snapshots.commit(record, request, now)
        case RollbackRequested():
            return snapshots.rollback(record, request, now)
        case RepairRequested():
            return divergence.repair(record, request, now)
        case DeleteRequested():
            return endings.delete(record, request, now)
        case _ as unreachable:
            assert_never(unreachable)


def _look(record: Record, happened: LookRequested) -> Decision:
    """Ask the shim, unless it is over, or our own call would make the answer worthless."""
    in_flight = record.open is not None and record.open.call is Call.IN_FLIGHT
    if in_flight or record.finished_at_ns or record.tombstone_at_ns:
        return keep(record)
    return keep(record, Query(cause=happened.cause))
