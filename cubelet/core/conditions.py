"""Conditions: what is remarkable about a sandbox beside its state. Derived, never stored."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from cubelet.core.converge import past_stuck
from cubelet.core.model import Call, Now, Operation, Record
from cubelet.core.policy import Policy, stuck_after_s


class ConditionKind(enum.StrEnum):
    """The closed set of conditions."""

    #: An operation has been open for longer than any honest call takes.
    OVERDUE = "OVERDUE"
    #: Questions for the status are not answered.
    UNSEEN = "UNSEEN"
    #: The shim and the second witness disagree.
    DIVERGED = "DIVERGED"
    #: The next commit must be a full one: an opaque restore has made every base useless, or which
    #: it is was lost with the record.
    BINDINGS_INVALID = "BINDINGS_INVALID"
    #: The last attempt to remove a deleted sandbox failed.
    DELETE_FAILED = "DELETE_FAILED"
    #: Of the node, and shown at every sandbox: the store takes no changes, so they are refused.
    DEGRADED_STORE = "DEGRADED_STORE"
    #: Of the node: something lies here that belongs to no record.
    ORPHANS = "ORPHANS"
    #: Of the node: the store was lost, and not every sandbox that lives here is known again.
    REBUILDING = "REBUILDING"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition: since when (wall nanoseconds), and on what evidence, for people."""

    kind: ConditionKind
    since_ns: int
    evidence: str


def conditions(record: Record, now: Now, policy: Policy) -> tuple[Condition, ...]:
    """All that hold, in the order of the enumeration."""
    found = (
        _overdue(record.open, now, policy),
        _unseen(record),
        _diverged(record),
        _bindings_invalid(record),
        _delete_failed(record),
    )
    return tuple(condition for condition in found if condition is not None)


def is_overdue(op: Operation, now: Now, policy: Policy) -> bool:
    """Whether an operation is open for longer than any honest call takes."""
    return op.call is not Call.IN_FLIGHT and past_stuck(op, now, policy)


def _overdue(op: Operation | None, now: Now, policy: Policy) -> Condition | None:
    if op is None or not is_overdue(op, now, policy):
        return None
    since_ns = op.started_at.wall_ns + int(stuck_after_s(op.kind, policy) * 1e9)
    why = op.failure.message if op.failure else "no failure is known"
    evidence = f"the {op.kind.lower()} of operation {op.op_id} is not settled: {why}"
    return Condition(kind=ConditionKind.OVERDUE, since_ns=since_ns, evidence=evidence)


def _unseen(record: Record) -> Condition | None:
    if record.unseen_since is None:
        return None
    evidence = record.last_seen.evidence if record.last_seen else "no answer"
    since_ns = record.unseen_since.wall_ns
    return Condition(kind=ConditionKind.UNSEEN, since_ns=since_ns, evidence=evidence)


def _diverged(record: Record) -> Condition | None:
    split = record.diverged
    if split is None or not split.shown:
        return None
    frozen = "frozen" if split.frozen else "not frozen"
    evidence = f"the shim says {split.says}, the second witness says {frozen}"
    return Condition(kind=ConditionKind.DIVERGED, since_ns=split.since.wall_ns, evidence=evidence)


def _bindings_invalid(record: Record) -> Condition | None:
    if not record.bindings.invalid:
        return None
    since_ns = record.bindings.runtime.attached_at_ns
    cause = "it was restored from an image that no catalog has"
    if record.remade_why:
        cause = "its record was lost, and nothing else tells what its memory builds on"
    evidence = f"{cause}; the next commit is a full one"
    return Condition(kind=ConditionKind.BINDINGS_INVALID, since_ns=since_ns, evidence=evidence)


def _delete_failed(record: Record) -> Condition | None:
    if record.delete_failure is None:
        return None
    return Condition(
        kind=ConditionKind.DELETE_FAILED,
        since_ns=record.tombstone_at_ns,
        evidence=record.delete_failure.message,
    )
