"""What the engine is to do after a step: a closed union, and the decision that holds it.

Persisting is no effect of its own. The rule is one for all: where a decision changes the record,
the engine commits record and journal entries in one transaction *before* it runs any effect.
"""

from __future__ import annotations

from dataclasses import dataclass

from cubelet.core.bindings import Snapshot
from cubelet.core.faults import Fault
from cubelet.core.inputs import Cause
from cubelet.core.model import OpKind, Outcome, Record, State


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRuntime:
    """Make the runtime call of the open operation and report CallOverdue and CallReturned."""

    kind: OpKind
    epoch: int
    #: What a rollback goes back to; None for every other kind.
    snapshot: Snapshot | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Ask the runtime for the status, once, and report Observed. At most one is under way."""

    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Look again after this time (LookRequested by SETTLE); takes the place of an earlier one.

    The engine shortens it by up to a fifth, at random, so that many do not ask in step.
    """

    delay_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Heal:
    """Freeze or thaw the sandbox past its shim, and report HealEnded.

    `op_id` is that of the request that wants it, "" where the agent mends its own trace.
    """

    frozen: bool
    op_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroy:
    """Kill and remove all that the sandbox has, by identity, and report DestroyEnded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """Give the caller of this operation its answer; `fault` None is success."""

    op_id: str
    fault: Fault | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteDeletes:
    """Answer everybody who waits for the sandbox's end."""

    fault: Fault | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Give the caller of this operation the answer that its key got before."""

    op_id: str
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Let the caller of `op_id` wait for the operation `to_op_id` and get the same answer."""

    op_id: str
    to_op_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """The record is to be removed; it comes with the journal's last entry of the sandbox."""


Effect = (
    CallRuntime | Query | Arm | Heal | Destroy | Complete | CompleteDeletes | Replay | Join | Forget
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the journal: which edge, by what cause, on what evidence."""

    sandbox_id: str
    incarnation: str
    revision: int
    epoch: int
    at_ns: int
    cause: Cause
    before: State | None
    after: State
    op_id: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The next record, what to write beside it, and what to do then, in this order.

    `record` None: there is nothing (any more) to keep. `persist` False: only facts changed that
    need not outlive the process, such as when the shim was last seen. `synced` False: the change
    must outlive the agent, but not the host, whose end would end the sandbox too.
    """

    record: Record | None
    effects: tuple[Effect, ...] = ()
    entries: tuple[Entry, ...] = ()
    #: What callers with keys were answered, and snapshots for the catalog: in the same transaction.
    outcomes: tuple[Outcome, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()
    persist: bool = True
    synced: bool = True
