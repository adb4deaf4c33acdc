"""`step`: the only function that makes the next record. Pure and total.

Requests that are refused, answers that came too late, hints without meaning: all are decisions too,
mostly to change nothing. Nothing is raised, but for an assertion where the table would be broken.
"""

from __future__ import annotations

from typing import assert_never

from cubelet.core import requests, settle
from cubelet.core.effects import Decision, Query
from cubelet.core.inputs import (
    CallOverdue,
    CallReturned,
    CreateRequested,
    DeleteRequested,
    DestroyEnded,
    Input,
    LookRequested,
    Observed,
    PauseRequested,
    Recovered,
    ResumeRequested,
)
from cubelet.core.model import Call, Now, Record
from cubelet.core.policy import Policy


def step(  # noqa: C901, PLR0911 - one arm for each input of the closed union.
    record: Record | None, happened: Input, now: Now, policy: Policy
) -> Decision:
    """Decide what one input means for one sandbox; `record` None: there is none (any more)."""
    if record is None:
        return _without_record(happened, now)
    match happened:
        case CreateRequested():
            return requests.refuse_create(record, happened)
        case PauseRequested() | ResumeRequested():
            return requests.operation(record, happened, now)
        case DeleteRequested():
            return requests.delete(record, happened, now)
        case CallOverdue():
            return settle.overdue(record, happened, now)
        case CallReturned():
            return settle.returned(record, happened, now)
        case Observed():
            return settle.observed(record, happened, now, policy)
        case LookRequested():
            return _look(record, happened)
        case DestroyEnded():
            return settle.destroy_ended(record, happened, now)
        case Recovered():
            return settle.recovered(record, now)
        case _ as unreachable:
            assert_never(unreachable)


def _without_record(happened: Input, now: Now) -> Decision:
    match happened:
        case CreateRequested():
            return requests.create(happened, now)
        case PauseRequested() | ResumeRequested() | DeleteRequested():
            return requests.refuse_unknown(happened)
        case _:
            # What is left of a sandbox that is gone: a late call, an answer, a hint.
            return Decision(record=None, persist=False)


def _look(record: Record, happened: LookRequested) -> Decision:
    """Ask the shim, unless it is over, or our own call would make the answer worthless."""
    in_flight = record.open is not None and record.open.call is Call.IN_FLIGHT
    if in_flight or record.finished_at_ns or record.tombstone_at_ns:
        return Decision(record=record, persist=False)
    return Decision(record=record, effects=(Query(cause=happened.cause),), persist=False)
