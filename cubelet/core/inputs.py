"""Everything that can happen to a sandbox: a closed union, matched exhaustively by `step`."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from cubelet.core.bindings import Catalog
from cubelet.core.evidence import Evidence
from cubelet.core.faults import Fault
from cubelet.core.model import Call, Handle, Key, OpKind, Outcome, Record, State
from cubelet.core.spec import Spec


class Cause(enum.StrEnum):
    """Who wants a change. `table.EDGES` says which cause may write which edge."""

    RPC = "rpc"
    #: The loop that asks about an open operation until it is settled, and the answer of a call
    #: that came after its caller had been told of a failure.
    SETTLE = "settle"
    #: A shim's event of a pause or a resume.
    EVENT = "event"
    #: A shim's event of an end.
    EXIT = "exit"
    #: The round over all live sandboxes.
    RELIST = "relist"
    #: The part of that round that looks after overdue operations and dead records.
    SWEEP = "sweep"
    #: A new agent over an old one's records.
    RECOVERY = "recovery"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What every request of a caller has.

    `remembered` is the outcome that the store has for this sandbox and key, as of the moment in
    which the request is decided.
    """

    op_id: str
    key: Key | None = None
    remembered: Outcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the caller takes for granted: the request is refused where it is not so. None: any."""

    epoch: int | None = None
    state: State | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRequested(Asked):
    """Somebody wants a sandbox that no record exists of."""

    id: str
    namespace: str
    incarnation: str
    spec: Spec
    #: As in the runtime's capabilities.
    opaque_restore: bool = False
    #: Of the host as it runs now; "" where it is not known.
    boot_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRequested(Asked):
    """Somebody wants it paused."""

    expected: Expected = field(default_factory=Expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeRequested(Asked):
    """Somebody wants it to run again."""

    expected: Expected = field(default_factory=Expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRequested(Asked):
    """Somebody wants a snapshot of it, under a name that the catalog does not have.

    `claimed`: another sandbox is about to make one of that name.
    """

    snapshot_id: str
    catalog: Catalog
    claimed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackRequested(Asked):
    """Somebody wants it to go back to a snapshot of the catalog."""

    snapshot_id: str
    catalog: Catalog


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairRequested(Asked):
    """Somebody wants the kernel to agree with the shim again, by force."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRequested(Asked):
    """Always accepted; deletion wins over everything.

    `lost` is the record beside a sandbox of which the store has none, and whose shim may never
    answer: it can be deleted all the same.
    """

    lost: Record | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOverdue:
    """The call of this epoch has not ended by its deadline. It goes on; we stop waiting."""

    epoch: int
    deadline_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReturned:
    """The call of this epoch has ended, in time or late. `failure` None: the runtime said OK.

    `call` says how it ended (ANSWERED or LOST); `handle` comes with a successful create,
    `generation` with whatever restored or committed, `path` with a commit.
    """

    epoch: int
    kind: OpKind
    call: Call
    failure: Fault | None = None
    handle: Handle | None = None
    generation: int = 0
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The answer to a status query, with what was true when it was asked.

    It is applied only if epoch, incarnation and the phase of the open call are still the same, and
    if no question has been answered that was asked later. `asked_mono_s`: when this one was.
    """

    cause: Cause
    epoch: int
    incarnation: str
    call: Call | None
    evidence: Evidence
    asked_mono_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LookRequested:
    """Something suggests to ask the shim: an event, a timer, a request that meets an open op."""

    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked:
    """The round over all sandboxes has come to this one: look, sweep, or leave it alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealEnded:
    """Kernel and shim were put in agreement past the shim, or `failure` says why not.

    `epoch` is that in which it began; whatever has begun since then is not meant.
    """

    epoch: int
    op_id: str = ""
    failure: Fault | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyEnded:
    """Everything of a deleted sandbox is gone, or `failure` says what is not."""

    failure: Fault | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """The record was read from disk by a new agent: whatever was in flight is so no more.

    `boot_id` is that of the host now, "" where it is not known.
    """

    boot_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rediscovered:
    """A sandbox was found on the host whose record the store has lost.

    `record` is the one that it was created with, which lies beside it, with its shim's handle;
    `evidence` what its shim said now; `why` what became of the store's own record.
    """

    record: Record
    evidence: Evidence
    why: str
    boot_id: str = ""


#: What comes from a caller, who waits for the answer under the request's op_id.
Request = (
    CreateRequested
    | PauseRequested
    | ResumeRequested
    | CommitRequested
    | RollbackRequested
    | RepairRequested
    | DeleteRequested
)
Input = (
    Request
    | CallOverdue
    | CallReturned
    | Observed
    | LookRequested
    | Ticked
    | HealEnded
    | DestroyEnded
    | Recovered
    | Rediscovered
)
