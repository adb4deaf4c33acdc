"""The transition table, as data. What is not in it does not happen.

`REQUESTS` says for every state what a request does there. `EDGES` lists every change of state with
the causes that may write it; `machine` checks each change against it, and a test walks both.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.inputs import Cause
from cubelet.core.model import OpKind, State


class Request(enum.StrEnum):
    """The requests whose answer depends on the state. Delete does not: it always wins."""

    PAUSE = "pause"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class Start:
    """The request begins this operation."""

    kind: OpKind


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

REQUESTS: Mapping[tuple[State, Request], Start | Refuse] = {
    (State.CREATED, Request.PAUSE): _CREATING,
    (State.CREATED, Request.RESUME): _CREATING,
    (State.RUNNING, Request.PAUSE): Start(OpKind.PAUSE),
    (State.RUNNING, Request.RESUME): Refuse(
        Code.FAILED_PRECONDITION, Reason.ALREADY_RUNNING, "already runs"
    ),
    (State.PAUSING, Request.PAUSE): _PAUSING,
    (State.PAUSING, Request.RESUME): _PAUSING,
    (State.PAUSED, Request.PAUSE): Refuse(
        Code.FAILED_PRECONDITION, Reason.ALREADY_PAUSED, "is already paused"
    ),
    (State.PAUSED, Request.RESUME): Start(OpKind.RESUME),
    (State.RESUMING, Request.PAUSE): _RESUMING,
    (State.RESUMING, Request.RESUME): _RESUMING,
    (State.EXITED, Request.PAUSE): _EXITED,
    (State.EXITED, Request.RESUME): _EXITED,
    (State.DELETED, Request.PAUSE): _DELETED,
    (State.DELETED, Request.RESUME): _DELETED,
}

_ANY = frozenset(Cause)
_RPC = frozenset({Cause.RPC})

#: Every change of state, and who may write it. An edge to EXITED also needs evidence of the end.
EDGES: Mapping[tuple[State | None, State], frozenset[Cause]] = {
    (None, State.CREATED): _RPC,
    # By other causes only where the store refused the outcome, and a later look finds it running.
    (State.CREATED, State.RUNNING): _ANY,
    (State.RUNNING, State.PAUSING): _RPC,
    (State.PAUSING, State.PAUSED): _ANY,
    (State.PAUSING, State.RUNNING): _ANY,
    (State.PAUSED, State.RESUMING): _RPC,
    (State.RESUMING, State.RUNNING): _ANY,
    (State.RESUMING, State.PAUSED): _ANY,
    # The shim was paused or resumed behind our back.
    (State.RUNNING, State.PAUSED): _ANY,
    (State.PAUSED, State.RUNNING): _ANY,
    (State.CREATED, State.EXITED): _ANY,
    (State.RUNNING, State.EXITED): _ANY,
    (State.PAUSING, State.EXITED): _ANY,
    (State.PAUSED, State.EXITED): _ANY,
    (State.RESUMING, State.EXITED): _ANY,
    # A create that failed, or that a restart of the agent cut short, is undone.
    (State.CREATED, State.DELETED): frozenset({Cause.RPC, Cause.RECOVERY}),
    (State.RUNNING, State.DELETED): _RPC,
    (State.PAUSING, State.DELETED): _RPC,
    (State.PAUSED, State.DELETED): _RPC,
    (State.RESUMING, State.DELETED): _RPC,
    (State.EXITED, State.DELETED): _RPC,
}
