"""Everything that can happen to a sandbox: a closed union, matched exhaustively by `step`."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from cubelet.core.evidence import Evidence
from cubelet.core.faults import Fault
from cubelet.core.model import Call, Handle, OpKind
from cubelet.core.spec import Spec


class Cause(enum.StrEnum):
    """Who wants a change. `table.EDGES` says which cause may write which edge."""

    RPC = "rpc"
    #: The answer of a call that came after its caller had been told of a failure.
    SETTLE = "settle"
    EVENT = "event"
    RECOVERY = "recovery"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRequested:
    """Somebody wants a sandbox that no record exists of."""

    op_id: str
    id: str
    namespace: str
    incarnation: str
    spec: Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRequested:
    """`expected_epoch` None: whatever the epoch is."""

    op_id: str
    expected_epoch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeRequested:
    """The mirror of PauseRequested; `opaque_restore` as in the runtime's capabilities."""

    op_id: str
    opaque_restore: bool
    expected_epoch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRequested:
    """Always accepted; deletion wins over everything."""

    op_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOverdue:
    """The call of this epoch has not ended by its deadline. It goes on; we stop waiting."""

    epoch: int
    deadline_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReturned:
    """The call of this epoch has ended, in time or late. `failure` None: the runtime said OK.

    `call` says how it ended (ANSWERED or LOST); `handle` comes with a successful create.
    """

    epoch: int
    kind: OpKind
    call: Call
    failure: Fault | None = None
    handle: Handle | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The answer to a status query, with what was true when it was asked.

    It is applied only if epoch, incarnation and the phase of the open call are still the same.
    """

    cause: Cause
    epoch: int
    incarnation: str
    call: Call | None
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class LookRequested:
    """Something suggests to ask the shim: an event, a request that meets an open operation."""

    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyEnded:
    """Everything of a deleted sandbox is gone, or `failure` says what is not."""

    failure: Fault | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """The record was read from disk by a new agent: whatever was in flight is so no more."""


Input = (
    CreateRequested
    | PauseRequested
    | ResumeRequested
    | DeleteRequested
    | CallOverdue
    | CallReturned
    | Observed
    | LookRequested
    | DestroyEnded
    | Recovered
)
