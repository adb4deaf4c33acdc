"""The transition table, as data. What is not in it does not happen.

`REQUESTS` says for every state what a request does there. `EDGES` lists every change of state with
the causes that may write it; `edges` checks each change against it, and a test walks both.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.inputs import Cause
from cubelet.core.model import OpKind, Record, State


class Verb(enum.StrEnum):
    """The requests whose answer depends on the state. Delete does not: it always wins."""

    PAUSE = "pause"
    RESUME = "resume"
    COMMIT = "commit"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Start:
    """The request begins this operation."""

    kind: OpKind


@dataclass(frozen=True, slots=True)
class Join:
    """The request waits for the outcome of the same one before it, while that is to come."""

    #: What it is told where the earlier caller has its answer already, and the outcome is open.
    otherwise: Refuse


@dataclass(frozen=True, slots=True)
class Refuse:
    """The request is refused; `text` follows the sandbox's name in the message."""

    code: Code
    reason: Reason
    text: str

    def fault(self, sandbox_id: str) -> Fault:
        """The refusal for one sandbox."""
        message = f"sandbox {sandbox_id} {self.text}"
        return Fault(code=self.code, reason=self.reason, message=message)


_CREATING = Refuse(
    Code.ABORTED, Reason.CREATE_IN_PROGRESS, "is still being created; try again when it runs"
)
_PAUSING = Refuse(
    Code.ABORTED,
    Reason.PAUSE_IN_PROGRESS,
    "has a pause whose outcome is not known yet; try again later",
)
_RESUMING = Refuse(
    Code.ABORTED,
    Reason.RESUME_IN_PROGRESS,
    "has a resume whose outcome is not known yet; try again later",
)
_EXITED = Refuse(
    Code.FAILED_PRECONDITION, Reason.NOT_RUNNING, "has ended; it can only be inspected or deleted"
)
_DELETED = Refuse(Code.FAILED_PRECONDITION, Reason.DELETE_IN_PROGRESS, "is being deleted")

_SNAPSHOTTING = Refuse(
    Code.ABORTED,
    Reason.SNAPSHOT_IN_PROGRESS,
    "has a commit or rollback whose outcome is not known yet; try again later",
)
_NOT_RUNNING = Refuse(Code.FAILED_PRECONDITION, Reason.NOT_RUNNING, "is paused; resume it first")
DIVERGED = Refuse(
    Code.FAILED_PRECONDITION,
    Reason.DIVERGED,
    "is frozen or thawed behind its shim's back; see `cubecli explain`, then `cubecli repair`",
)

#: What a request meets that nothing may be done beside, by the operation that is open.
BUSY: Mapping[OpKind, Refuse] = {
    OpKind.CREATE: _CREATING,
    OpKind.PAUSE: _PAUSING,
    OpKind.RESUME: _RESUMING,
    OpKind.COMMIT: _SNAPSHOTTING,
    OpKind.ROLLBACK: _SNAPSHOTTING,
}

Rule = Start | Join | Refuse

#: What a request does by the state, where no commit or rollback is open.
REQUESTS: Mapping[tuple[State, Verb], Rule] = {
    (State.CREATED, Verb.PAUSE): _CREATING,
    (State.CREATED, Verb.RESUME): _CREATING,
    (State.CREATED, Verb.COMMIT): _CREATING,
    (State.CREATED, Verb.ROLLBACK): _CREATING,
    (State.RUNNING, Verb.PAUSE): Start(OpKind.PAUSE),
    (State.RUNNING, Verb.RESUME): Refuse(
        Code.FAILED_PRECONDITION, Reason.ALREADY_RUNNING, "already runs"
    ),
    (State.RUNNING, Verb.COMMIT): Start(OpKind.COMMIT),
    (State.RUNNING, Verb.ROLLBACK): Start(OpKind.ROLLBACK),
    (State.PAUSING, Verb.PAUSE): Join(_PAUSING),
    (State.PAUSING, Verb.RESUME): _PAUSING,
    (State.PAUSING, Verb.COMMIT): _PAUSING,
    (State.PAUSING, Verb.ROLLBACK): _PAUSING,
    (State.PAUSED, Verb.PAUSE): Refuse(
        Code.FAILED_PRECONDITION, Reason.ALREADY_PAUSED, "is already paused"
    ),
    (State.PAUSED, Verb.RESUME): Start(OpKind.RESUME),
    (State.PAUSED, Verb.COMMIT): _NOT_RUNNING,
    (State.PAUSED, Verb.ROLLBACK): _NOT_RUNNING,
    (State.RESUMING, Verb.PAUSE): _RESUMING,
    (State.RESUMING, Verb.RESUME): Join(_RESUMING),
    (State.RESUMING, Verb.COMMIT): _RESUMING,
    (State.RESUMING, Verb.ROLLBACK): _RESUMING,
    **{(State.EXITED, verb): _EXITED for verb in Verb},
    **{(State.DELETED, verb): _DELETED for verb in Verb},
}


def rule_for(record: Record, verb: Verb) -> Rule:
    """What this request does to this record. A state alone does not show an open snapshot."""
    op = record.open
    if op is not None and op.kind in {OpKind.COMMIT, OpKind.ROLLBACK} and _is_live(record):
        return _SNAPSHOTTING
    rule = REQUESTS[record.state, verb]
    if isinstance(rule, Start) and record.diverged is not None:
        return DIVERGED
    return rule


def _is_live(record: Record) -> bool:
    return not record.tombstone_at_ns and not record.finished_at_ns


_OBSERVERS = frozenset(Cause) - {Cause.SWEEP}
_ANY = frozenset(Cause)
_RPC = frozenset({Cause.RPC})
_RECOVERY = frozenset({Cause.RECOVERY})

#: Every change of state, and who may write it. An edge to EXITED also needs evidence of the end.
#: What begins an operation is a caller's alone; the sweep touches open operations and dead records.
EDGES: Mapping[tuple[State | None, State], frozenset[Cause]] = {
    (None, State.CREATED): _RPC,
    # Found on the host by a new agent whose store had lost the record.
    (None, State.RUNNING): _RECOVERY,
    (None, State.PAUSED): _RECOVERY,
    (None, State.EXITED): _RECOVERY,
    # The same: deleted before its shim has answered, or its create had been cut short.
    (None, State.DELETED): _RPC | _RECOVERY,
    # By other causes only where the store refused the outcome, and a later look finds it running.
    (State.CREATED, State.RUNNING): _ANY,
    (State.RUNNING, State.PAUSING): _RPC,
    (State.PAUSING, State.PAUSED): _ANY,
    (State.PAUSING, State.RUNNING): _ANY,
    (State.PAUSED, State.RESUMING): _RPC,
    (State.RESUMING, State.RUNNING): _ANY,
    (State.RESUMING, State.PAUSED): _ANY,
    # The shim was paused or resumed behind our back.
    (State.RUNNING, State.PAUSED): _OBSERVERS,
    (State.PAUSED, State.RUNNING): _OBSERVERS,
    (State.CREATED, State.EXITED): _ANY,
    # By the sweep where a commit or rollback is overdue.
    (State.RUNNING, State.EXITED): _ANY,
    (State.PAUSING, State.EXITED): _ANY,
    (State.PAUSED, State.EXITED): _OBSERVERS,
    (State.RESUMING, State.EXITED): _ANY,
    # A create that failed, or that a restart of the agent cut short, is undone.
    (State.CREATED, State.DELETED): frozenset({Cause.RPC, Cause.SETTLE, Cause.RECOVERY}),
    (State.RUNNING, State.DELETED): _RPC,
    (State.PAUSING, State.DELETED): _RPC,
    (State.PAUSED, State.DELETED): _RPC,
    (State.RESUMING, State.DELETED): _RPC,
    # A dead record goes when its time is over.
    (State.EXITED, State.DELETED): frozenset({Cause.RPC, Cause.SWEEP}),
}
