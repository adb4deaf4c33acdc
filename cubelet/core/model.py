"""The record of one sandbox: facts, from which its state is derived.

A state is never stored. Stamps, the open operation and the tombstone are, and `Record.state` reads
the state off them, so that no two fields can contradict each other.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from cubelet.core.bindings import Bindings, CommitPlan
from cubelet.core.evidence import Status
from cubelet.core.faults import Fault
from cubelet.core.spec import Spec


class State(enum.StrEnum):
    """What a sandbox is. DELETED means: deletion was accepted; it never comes back."""

    CREATED = "CREATED"
    RUNNING = "RUNNING"
    PAUSING = "PAUSING"
    PAUSED = "PAUSED"
    RESUMING = "RESUMING"
    EXITED = "EXITED"
    DELETED = "DELETED"


class OpKind(enum.StrEnum):
    """The operations that call the runtime and can be left open by it."""

    CREATE = "CREATE"
    PAUSE = "PAUSE"
    RESUME = "RESUME"
    COMMIT = "COMMIT"
    ROLLBACK = "ROLLBACK"


class Call(enum.StrEnum):
    """How the runtime call of an open operation stands.

    IN_FLIGHT: we wait for it. ABANDONED: we stopped waiting, it may still happen. LOST: its
    connection or the agent ended, no answer will come, it may still happen. ANSWERED: the shim
    answered, so it is over there and the next honest status answer settles the operation.
    """

    IN_FLIGHT = "IN_FLIGHT"
    ABANDONED = "ABANDONED"
    LOST = "LOST"
    ANSWERED = "ANSWERED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """One reading of both clocks: wall for stamps that are kept, monotonic for durations.

    `mono_s` is CLOCK_MONOTONIC, which goes on across a restart of the agent, but not of the host.
    """

    wall_ns: int
    mono_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What a caller calls its request by, so that sending it again does not do it again.

    `digest` stands for the request's whole content: the same key with another one is an error.
    """

    value: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An operation whose outcome is not known yet: the intent, on disk before the call is made."""

    op_id: str
    kind: OpKind
    epoch: int
    call: Call
    started_at: Now
    #: Why the call failed, once it has; what the caller is told.
    failure: Fault | None = None
    #: Whether the caller has its answer; an operation may stay open long after.
    answered: bool = False
    #: When the status first contradicted the target after our call was over; monotonic seconds.
    contradicted_mono_s: float | None = None
    #: How often the shim was asked since the call failed.
    attempt: int = 0
    #: How often the agent tried to mend what the call left half done.
    heals: int = 0
    #: The keys of the caller and of those who joined it; all of them get the same answer.
    keys: tuple[Key, ...] = ()
    #: Whether that answer is kept under the keys; a store that failed may have refused it.
    noted: bool = False
    #: How a commit is made; None for every other kind.
    plan: CommitPlan | None = None
    #: The snapshot that a commit makes, or a rollback goes back to.
    snapshot_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """Where a sandbox's shim is and which processes are its own, by identity.

    Start times are in the kernel's ticks since boot (/proc/PID/stat, field 22): a process id alone
    may belong to somebody else by now, and so may both in another boot of the host.
    """

    address: str
    version: int
    shim_pid: int
    shim_start_ticks: int
    pid: int
    pid_start_ticks: int
    #: The runtime's restore generation as it was created.
    generation: int = 0
    #: The boot that the start times count from; "" where a handle was made before this was noted.
    boot_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSeen:
    """The last answer to the question for the status: what, who asked, when it came."""

    evidence: str
    cause: str
    at: Now
    #: When the question was asked, on the monotonic clock.
    asked_mono_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """The shim and the second witness disagree: what each says, since when, how often seen.

    `shown` once it was seen in two looks that far apart that no operation in between explains it.
    """

    says: Status
    frozen: bool
    since: Now
    seen: int = 1
    shown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Everything that is known of one sandbox. Immutable; `step` makes the next one.

    All stamps are wall-clock nanoseconds since 1970, 0 where it has not happened.
    """

    id: str
    namespace: str
    #: Changes when an id is used again, so that an old answer cannot be taken for the new sandbox.
    incarnation: str
    spec: Spec
    epoch: int = 0
    revision: int = 0
    handle: Handle | None = None
    created_at_ns: int = 0
    started_at_ns: int = 0
    paused_at_ns: int = 0
    finished_at_ns: int = 0
    #: None while it runs, or where it ended and nobody saw its code.
    exit_code: int | None = None
    exit_reason: str = ""
    #: When the end was written, on the monotonic clock: the age of a dead record is a duration.
    finished_mono_s: float = 0.0
    #: Whether a resume of it is a restore from an image that no catalog has (a capability of its
    #: runtime, fixed when it is created).
    opaque_restore: bool = False
    #: The boot of the host that its sandbox lives in, or has ended in; "" where that was not noted.
    boot_id: str = ""
    #: A restart of the host has ended it, and what it left on disk is still to be removed.
    leftovers: bool = False
    #: Why this record was made anew from what was found on the host; "" where it never was.
    remade_why: str = ""
    bindings: Bindings = field(default_factory=Bindings)
    open: Operation | None = None
    #: Set for ever once a delete was accepted.
    tombstone_at_ns: int = 0
    #: Why the last attempt to remove a deleted sandbox failed; it is tried again.
    delete_failure: Fault | None = None
    #: Keys of the accepted deletes, to be answered when nothing is left.
    delete_keys: tuple[Key, ...] = ()
    last_seen: LastSeen | None = None
    #: Since when no question for the status was answered; None while they are.
    unseen_since: Now | None = None
    diverged: Divergence | None = None

    @property
    def state(self) -> State:
        """The state that follows from the facts; the first that fits wins."""
        if self.tombstone_at_ns:
            return State.DELETED
        if self.finished_at_ns:
            return State.EXITED
        if self.open is not None:
            return _STATE_WHILE[self.open.kind]
        if self.paused_at_ns:
            return State.PAUSED
        return State.RUNNING if self.started_at_ns else State.CREATED


_STATE_WHILE = {
    OpKind.CREATE: State.CREATED,
    OpKind.PAUSE: State.PAUSING,
    OpKind.RESUME: State.RESUMING,
    # A snapshot is taken of a running sandbox, and goes back to one.
    OpKind.COMMIT: State.RUNNING,
    OpKind.ROLLBACK: State.RUNNING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The answer that a request with a key got, kept so that the same request gets it again.

    `record` is what a success answered with; a failure has a fault and no record.
    """

    sandbox_id: str
    key: Key
    op_id: str
    at_ns: int
    fault: Fault | None = None
    record: Record | None = None
