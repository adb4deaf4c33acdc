"""Requests that are let in where they must not be, and keys that do not hold."""

from __future__ import annotations

from dataclasses import replace

from cubelet.core import endings, keys, requests, table
from cubelet.core.effects import Decision
from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.inputs import DeleteRequested, Request
from cubelet.core.model import Call, Now, OpKind, Record, State
from cubelet.core.table import Rule, Start, Verb
from cubelet.engine.worker import Worker
from tests.sim.mutants.base import Change, Rows, mutant, unchecked


@mutant("R11", "I12")
def opposite_call_while_unsettled() -> tuple[Change, ...]:
    """Once our side of a call is given up, the next operation may begin."""
    real = table.rule_for

    def lax(record: Record, verb: Verb) -> Rule:
        op = record.open
        unsettled = op is not None and op.call in {Call.ABANDONED, Call.LOST}
        if unsettled and record.state is State.PAUSING and verb is Verb.RESUME:
            return Start(OpKind.RESUME)
        if unsettled and record.state is State.RESUMING and verb is Verb.PAUSE:
            return Start(OpKind.PAUSE)
        return real(record, verb)

    return (unchecked(), Change(requests, "rule_for", lax))


@mutant("R12", "I12")
def resume_while_pausing() -> tuple[Change | Rows, ...]:
    """PAUSING counts as paused, so a resume begins while the pause is in flight."""
    row = {(State.PAUSING, Verb.RESUME): Start(OpKind.RESUME)}
    return (unchecked(), Rows(table.REQUESTS, row))


@mutant("I12", "I13")
def joiner_makes_a_call() -> tuple[Rows, ...]:
    """A second pause during a pause makes a call of its own instead of waiting for the first."""
    return (
        Rows(
            table.REQUESTS,
            {
                (State.PAUSING, Verb.PAUSE): Start(OpKind.PAUSE),
                (State.RESUMING, Verb.RESUME): Start(OpKind.RESUME),
            },
        ),
    )


@mutant("R13", "I12")
def stale_precondition_ignored() -> tuple[Change, ...]:
    """A request that expects another epoch or state is carried out all the same."""
    return (Change(requests, "_unmet", lambda *_: None),)


@mutant("I13")
def key_not_kept() -> tuple[Change, ...]:
    """The answer of a request with a key is not kept, so its repetition is done again."""
    return (Change(keys, "answers", lambda *_, **__: ()),)


@mutant("I13")
def key_not_kept_of_failures() -> tuple[Change, ...]:
    """Only successes are kept under their keys: a failed request is done again."""
    real = keys.answers

    def some(*args: object, **rest: object) -> object:
        return real(*args, **rest) if rest["fault"] is None else ()  # type: ignore[arg-type]

    return (Change(keys, "answers", some),)


@mutant("I13")
def digest_not_compared() -> tuple[Change, ...]:
    """A known key gets its first answer, whatever the request is this time."""
    real = keys.known

    def lax(record: Record | None, request: Request) -> Decision | None:
        told, key = request.remembered, request.key
        if told is None or key is None or (told.fault is None and told.record is None):
            return real(record, request)
        return real(record, replace(request, key=told.key))

    return (Change(keys, "known", lax),)


@mutant("I13")
def key_in_flight_not_known() -> tuple[Change, ...]:
    """Only answered keys are known: a repetition during the call is a request of its own."""
    return (Change(keys, "_find", lambda *_: None),)


@mutant("I13", "R18")
def keys_die_with_the_sandbox() -> tuple[Change, ...]:
    """What was answered under a key is not looked up in the store."""

    async def forgetful(self: Worker, happened: object, _key: object) -> object:
        return happened

    return (Change(Worker, "_remembering", forgetful),)


@mutant("I7", "I8")
def delete_refused_while_open() -> tuple[Change, ...]:
    """A delete is refused while a pause or resume is open, as the seed's is (its issue 932)."""
    real = endings.delete

    def timid(record: Record, request: DeleteRequested, now: Now) -> Decision:
        if record.open is None or record.tombstone_at_ns:
            return real(record, request, now)
        fault = Fault(code=Code.ABORTED, reason=Reason.PAUSE_IN_PROGRESS, message="not now")
        return requests.refused(record, request, fault)

    return (Change(endings, "delete", timid),)
