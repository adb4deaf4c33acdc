"""The converge rules: one function per direction, called by every path.

Each takes the open operation (which knows how its call stands) and one piece of evidence, and says
whether that settles the operation. An answer that names the target always does. An answer that
contradicts it does so only when nothing of our call can still happen; see `_contradicted`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import assert_never

from cubelet.core.evidence import Alive, Contradicted, Ended, Evidence, Gone, NoAnswer, Status
from cubelet.core.model import Call, Now, Operation, OpKind
from cubelet.core.policy import Policy, stuck_after_s


class Verdict(enum.Enum):
    """What the evidence means for the operation."""

    REACHED = "reached"
    NOT_REACHED = "not reached"
    ENDED = "ended"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, and when the target was first contradicted, to be kept while it stays open."""

    verdict: Verdict
    contradicted_mono_s: float | None = None


def past_stuck(op: Operation, now: Now, policy: Policy) -> bool:
    """Whether it has been open for longer than any honest call takes: twice its call's limit."""
    return now.mono_s - op.started_at.mono_s >= stuck_after_s(op.kind, policy)


def converge(op: Operation, evidence: Evidence, now: Now, policy: Policy) -> Judgement:
    """The rule of the operation's direction."""
    match op.kind:
        case OpKind.PAUSE:
            return converge_pause(op, evidence, now, policy)
        case OpKind.CREATE:
            return converge_create(op, evidence)
        case OpKind.RESUME:
            return converge_resume(op, evidence, now, policy)
        case OpKind.COMMIT | OpKind.ROLLBACK:
            return converge_snapshot(op, evidence, now, policy)
        case _ as unreachable:
            assert_never(unreachable)


_PAUSE_BACK = frozenset({Status.RUNNING, Status.CREATED})
_RESUME_BACK = frozenset({Status.PAUSED})
#: No status says whether a snapshot was taken or restored, so each only says that it is not known
#: to be; and the bindings hold nothing valid until it is.
_SNAPSHOT_BACK = frozenset({Status.RUNNING, Status.CREATED, Status.PAUSED})


def converge_pause(op: Operation, evidence: Evidence, now: Now, policy: Policy) -> Judgement:
    """PAUSED: it is paused. RUNNING or CREATED: it is not, by the rule. Others leave it open."""
    return _converge(op, evidence, now, policy, target=Status.PAUSED, back=_PAUSE_BACK)


def converge_resume(op: Operation, evidence: Evidence, now: Now, policy: Policy) -> Judgement:
    """RUNNING: it runs. PAUSED: it does not, by the rule. Others leave it open."""
    return _converge(op, evidence, now, policy, target=Status.RUNNING, back=_RESUME_BACK)


def converge_create(op: Operation, evidence: Evidence) -> Judgement:
    """A create that is judged has succeeded, and the store refused to write that it did."""
    match evidence:
        case Ended() | Gone():
            return Judgement(Verdict.ENDED)
        case Alive(status=status) if status is not Status.CREATED:
            return Judgement(Verdict.REACHED)
        case _:
            return Judgement(Verdict.OPEN, op.contradicted_mono_s)


def converge_snapshot(op: Operation, evidence: Evidence, now: Now, policy: Policy) -> Judgement:
    """Any living status: it is over, by the rule. Success is only what the call itself told."""
    return _converge(op, evidence, now, policy, target=None, back=_SNAPSHOT_BACK)


def _converge(
    op: Operation,
    evidence: Evidence,
    now: Now,
    policy: Policy,
    *,
    target: Status | None,
    back: frozenset[Status],
) -> Judgement:
    match evidence:
        case Ended() | Gone():
            return Judgement(Verdict.ENDED)
        case Alive(status=status) if status is target:
            return Judgement(Verdict.REACHED)
        case Alive(status=status) if status in back:
            return _contradicted(op, now, policy)
        case Alive() | Contradicted() | NoAnswer():
            return Judgement(Verdict.OPEN, op.contradicted_mono_s)
        case _ as unreachable:
            assert_never(unreachable)


def _contradicted(op: Operation, now: Now, policy: Policy) -> Judgement:
    """Judge an honest answer that is not the target.

    A call that the shim answered is over there: the answer settles it. A call that timed out or
    lost its connection may still happen: two such answers settle it if they are settle_s apart
    and our call has ended, or if the operation is past stuck_s, whether the call ended or not.
    """
    if op.call is Call.ANSWERED:
        return Judgement(Verdict.NOT_REACHED)
    first_s = op.contradicted_mono_s
    if first_s is None:
        return Judgement(Verdict.OPEN, now.mono_s)
    apart = now.mono_s - first_s >= policy.settle_s
    if past_stuck(op, now, policy) or (apart and op.call is Call.LOST):
        return Judgement(Verdict.NOT_REACHED)
    return Judgement(Verdict.OPEN, first_s)
