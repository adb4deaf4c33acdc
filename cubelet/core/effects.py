"""What the engine is to do after a step: a closed union, and the decision that holds it.

Persisting is no effect of its own. The rule is one for all: where a decision changes the record,
the engine commits record and journal entries in one transaction *before* it runs any effect.
"""

from __future__ import annotations

from dataclasses import dataclass

from cubelet.core.faults import Fault
from cubelet.core.inputs import Cause
from cubelet.core.model import OpKind, Record, State


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRuntime:
    """Make the runtime call of the open operation and report CallOverdue and CallReturned."""

    kind: OpKind
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Ask the runtime for the status, once, and report Observed. At most one is under way."""

    cause: Cause


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
class Forget:
    """The record is to be removed; it comes with the journal's last entry of the sandbox."""


Effect = CallRuntime | Query | Destroy | Complete | CompleteDeletes | Forget


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
    persist: bool = True
    synced: bool = True
