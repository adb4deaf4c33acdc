"""What an answer of the shim changes: it is believed or not, and then settles or is followed."""

from __future__ import annotations

from dataclasses import replace

from cubelet.core import divergence, settle
from cubelet.core.edges import keep, write
from cubelet.core.effects import Decision
from cubelet.core.endings import ended, undo_create
from cubelet.core.evidence import (
    Alive,
    Contradicted,
    Ended,
    Evidence,
    Gone,
    NoAnswer,
    Status,
    describe,
)
from cubelet.core.inputs import Cause, Observed
from cubelet.core.model import Call, LastSeen, Now, OpKind, Record
from cubelet.core.policy import Policy


def observed(record: Record, happened: Observed, now: Now, policy: Policy) -> Decision:
    """Apply an answer, if what it was asked about is still so; the waiting caller learns anyhow."""
    op = record.open
    in_flight = op is not None and op.call is Call.IN_FLIGHT
    swept = op is None and happened.cause is Cause.SWEEP  # Its questions are about operations.
    if in_flight or swept or record.tombstone_at_ns or record.finished_at_ns:
        return keep(record)
    if op is not None and op.kind is OpKind.CREATE and record.handle is None:
        # Cut short by a restart of the agent, or failed when the store refused its undoing.
        recovering = happened.cause is Cause.RECOVERY
        return undo_create(record, now, Cause.RECOVERY if recovering else Cause.SETTLE)
    if not _is_fresh(record, happened):
        return _overtaken(record, happened, now, policy)
    happened = replace(happened, evidence=of_this_process(record, happened.evidence))
    seen = _bindings_followed(_seen(record, happened, now), happened.evidence, now)
    if isinstance(happened.evidence, Contradicted):
        return divergence.contradicted(
            record, seen, happened.evidence, cause=happened.cause, now=now, policy=policy
        )
    if op is not None:
        return settle.judge(record, seen, happened, now=now, policy=policy)
    return _steady(record, seen, happened, now)


def _overtaken(record: Record, happened: Observed, now: Now, policy: Policy) -> Decision:
    """Whatever overtook the question has asked its own, which may take as long again.

    A caller who has waited for this one is told that the outcome is open; nothing is settled.
    """
    op = record.open
    if op is None or op.answered or op.failure is None:
        return keep(record)
    same = (happened.incarnation, happened.epoch) == (record.incarnation, op.epoch)
    theirs = same and happened.call not in {None, Call.IN_FLIGHT}
    if not theirs and not isinstance(happened.evidence, NoAnswer):
        return keep(record)
    unknown = replace(happened, evidence=NoAnswer(why="the answer was overtaken"))
    return settle.judge(record, record, unknown, now=now, policy=policy)


def _is_fresh(record: Record, happened: Observed) -> bool:
    """Whether the answer is about what is so now, and the newest one that there is."""
    op, seen = record.open, record.last_seen
    asked = (happened.epoch, happened.incarnation, happened.call)
    newest = seen is None or happened.asked_mono_s >= seen.asked_mono_s
    return newest and asked == (record.epoch, record.incarnation, op.call if op else None)


def _steady(record: Record, seen: Record, happened: Observed, now: Now) -> Decision:
    """No operation is open: follow what the shim says of a pause or an end that was not ours."""
    after = seen
    match happened.evidence:
        case Ended() | Gone():
            after = ended(seen, happened.evidence, now)
        case Alive(status=Status.PAUSED) if not record.paused_at_ns:
            after = replace(seen, paused_at_ns=now.wall_ns)
        case Alive(status=Status.RUNNING) if record.paused_at_ns:
            after = _restored(replace(seen, paused_at_ns=0), now)
        case _:
            pass
    detail = f"not by us: {describe(happened.evidence)}"
    if after.state is record.state and divergence.was_shown(record) and after.diverged is None:
        detail = f"no longer diverged: {describe(happened.evidence)}"
    elif after.state is record.state and after.bindings == record.bindings:
        return keep(after)
    if after.bindings != record.bindings:
        detail += "; snapshot bindings invalidated"
    return write(record, after, now=now, cause=happened.cause, detail=detail)


def of_this_process(record: Record, evidence: Evidence) -> Evidence:
    """An answer about another process than ours is none: the shim's id, or its pid, is reused."""
    handle = record.handle
    if handle is None or not isinstance(evidence, Alive):
        return evidence
    same_pid = evidence.pid == handle.pid
    same_start = evidence.start_ticks in {0, handle.pid_start_ticks}
    if same_pid and same_start:
        return evidence
    return NoAnswer(why=f"the shim speaks of process {evidence.pid}, ours is {handle.pid}")


def _seen(record: Record, happened: Observed, now: Now) -> Record:
    evidence = happened.evidence
    told = LastSeen(
        evidence=describe(evidence),
        cause=happened.cause,
        at=now,
        asked_mono_s=happened.asked_mono_s,
    )
    if isinstance(evidence, NoAnswer):
        return replace(record, last_seen=told, unseen_since=record.unseen_since or now)
    diverged = record.diverged if isinstance(evidence, Contradicted) else None
    return replace(record, last_seen=told, unseen_since=None, diverged=diverged)


def _bindings_followed(record: Record, evidence: Evidence, now: Now) -> Record:
    """A restore generation other than that of the bindings: somebody else has restored it."""
    if not isinstance(evidence, Alive) or evidence.generation is None:
        return record
    if evidence.generation == record.bindings.generation:
        return record
    return replace(record, bindings=record.bindings.invalidated(now.wall_ns))


def _restored(record: Record, now: Now) -> Record:
    if not record.opaque_restore:
        return record
    return replace(record, bindings=record.bindings.invalidated(now.wall_ns))
