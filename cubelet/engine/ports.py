"""What the engine needs from the outside, and nothing more.

Whoever implements a port imports this module; the engine imports no implementation.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cubelet.core.bindings import CommitPlan, Snapshot
from cubelet.core.effects import Entry
from cubelet.core.evidence import Evidence
from cubelet.core.faults import Code, CubeletError, Fault, Reason
from cubelet.core.model import Call, Handle, Now, Outcome, Record
from cubelet.core.spec import HttpHook, Spec


class CallFailed(Exception):
    """A runtime call failed. `call` says whether the shim answered, or the answer was lost.

    A call that certainly never reached the shim counts as answered: nothing of it can still happen.
    """

    def __init__(self, fault: Fault, *, call: Call) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.call = call


class StoreFailed(CubeletError):
    """The store could not do what it was asked, and has done nothing of it.

    `cause` is a name to count by, one of few: that of SQLite's primary result code, such as
    SQLITE_FULL, or OTHER. `passing` False: it is no matter of the disk, and no store could do it.
    """

    def __init__(self, message: str, *, cause: str, passing: bool = True) -> None:
        code = Code.UNAVAILABLE if passing else Code.INTERNAL
        super().__init__(Fault(code=code, reason=Reason.STORE_FAILED, message=message))
        self.cause = cause
        self.passing = passing


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a runtime's operations mean; rules in the core depend on some of them."""

    #: A resume is a restore from an image that no catalog has: snapshot bindings become invalid.
    opaque_restore: bool = False
    #: The status query waits while a pause or resume runs, so "no answer" is usual then.
    status_blocks_during_ops: bool = True
    #: The shim reports pauses and resumes as events.
    publishes_pause_events: bool = True
    #: `commit`, `rollback` and a create from a snapshot work.
    snapshots: bool = False
    #: Something besides the shim tells whether a sandbox stands still; `state` compares both.
    second_witness: bool = False
    #: `heal` works: kernel and shim can be put in agreement past the shim.
    heals: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A snapshot was taken: where the runtime keeps it, and at which restore generation."""

    path: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What there is on this host of one sandbox, or one snapshot that lies here.

    `runtime` is the one that made it, as far as that can be told. `what` names each thing, for
    people. `record` is the one that the sandbox was created with, with its shim's handle, where
    that is still to be read beside it.
    """

    sandbox_id: str
    runtime: str
    what: tuple[str, ...]
    record: Record | None = None
    #: Set for a snapshot, which belongs to no sandbox: `sandbox_id` is empty then.
    snapshot_id: str = ""


class Runtime(Protocol):
    """One way to run sandboxes. Methods take the whole record and change nothing in it.

    None of them has a deadline inside, except where the runtime itself needs one: the engine stops
    waiting by its own clock. A call that the engine abandons must be left running.
    """

    @property
    def name(self) -> str:
        """The name by which a Spec asks for this runtime."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What its operations mean."""
        ...

    def check(self, spec: Spec) -> None:
        """Raise CubeletError where this runtime cannot run such a spec. Changes nothing."""
        ...

    async def create(self, record: Record) -> Handle:
        """Make and start the sandbox; CallFailed where that did not work out.

        The only method that is cancelled, at its deadline; `destroy` then removes what is there.
        """
        ...

    async def pause(self, record: Record) -> None:
        """Freeze it; returns once frozen, else CallFailed. Never sends a deadline to the shim."""
        ...

    async def resume(self, record: Record) -> None:
        """Let it run again; returns once it runs, else CallFailed."""
        ...

    async def state(self, record: Record) -> Evidence:
        """Ask for its status. Never raises for what a shim does: that is NoAnswer."""
        ...

    async def commit(self, record: Record, plan: CommitPlan) -> Committed:
        """Take a snapshot of the running sandbox, which runs on; else CallFailed.

        Compares the plan with what its own tracking counts from, before it writes anything: the
        restore generation, and the base itself, since a commit that came later than anybody waited
        for has moved the base without a restore. Refuses where they differ (ANSWERED,
        FAILED_PRECONDITION, STALE_BASE). What an earlier attempt of that name left is overwritten.
        """
        ...

    async def rollback(self, record: Record, snapshot: Snapshot) -> int:
        """Put the running sandbox's memory back to a snapshot; its new restore generation."""
        ...

    async def heal(self, record: Record, *, frozen: bool) -> None:
        """Freeze or thaw its processes past the shim, so that the kernel says what the shim says.

        CallFailed where that did not work, or this runtime cannot (`capabilities.heals`).
        """
        ...

    async def destroy(self, record: Record) -> None:
        """Kill and remove everything it has, paused or hung, by identity; CallFailed where not.

        Works with and without a handle, and on what is half made or gone: then it does nothing.
        """
        ...

    async def traces(self, but: Collection[str] = frozenset()) -> Sequence[Trace]:
        """Everything of this runtime's sandboxes that is on this host, one Trace for each.

        Those with an id in `but` are left out, which costs much less than to tell of them. Whether
        a record owns a thing is not asked. Of several runtimes each thing is told by one only, also
        where nothing says any more which of them made it. Raises OSError where it cannot look.
        """
        ...

    async def clear(self, trace: Trace) -> None:
        """Kill and remove all that is there of what one of its traces names.

        The caller sees to it that no record owns it, and that none comes to before this ends.
        CallFailed with what is left; ends within 30 s, whatever hangs.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One transaction of the store: put or remove one record, append to journal and catalog.

    `synced` False: it has to survive the death of the process, not that of the host.
    """

    id: str
    record: Record | None
    entries: Sequence[Entry] = ()
    outcomes: Sequence[Outcome] = ()
    snapshots: Sequence[Snapshot] = ()
    synced: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a store held at start: the records, and for those that cannot be read, why."""

    records: Sequence[Record] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    snapshots: Sequence[Snapshot] = ()
    unreadable_snapshots: Mapping[str, str] = field(default_factory=dict)
    #: Why sandboxes may live here of which it knows nothing; "" where it knows all of them. It
    #: stays over restarts until `Store.completed` was called.
    incomplete: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A copy of the store that was made while the agent went on."""

    path: str
    bytes: int


class Store(Protocol):
    """Keeps records and journal. What `commit` returned from survives kill -9 of the agent.

    A synced change survives a power cut, with all that were committed before it.
    """

    async def load(self) -> Loaded:
        """Everything there is, once, at start."""
        ...

    async def commit(self, change: Change) -> None:
        """Write one change whole or not at all; StoreFailed where it was not."""
        ...

    async def journal(self, sandbox_id: str, *, limit: int) -> Sequence[Entry]:
        """The newest `limit` entries of one sandbox, oldest first; "" for those of all."""
        ...

    async def outcome(self, sandbox_id: str, key: str) -> Outcome | None:
        """What a request with this key was answered; None where it was not, or long ago.

        Outlives the sandbox. Kept are the newest 10,000 whatever their age, and of the others those
        of the last 24 hours, up to 200,000 in all.
        """
        ...

    async def completed(self) -> None:
        """Note that all sandboxes that live here are known (again): `incomplete` is "" from now."""
        ...

    async def retain(self, now_ns: int) -> int:
        """Drop what need not be kept any longer of journal and answers; how many rows that were.

        Nothing else ever drops them. `now_ns` is the wall clock, as in their stamps.
        """
        ...

    async def probe(self) -> None:
        """Write something small and sync it; StoreFailed where that fails."""
        ...

    async def backup(self, name: str) -> Backup:
        """Copy the store while it is in use to a new file of that name, whole or not at all.

        CubeletError: ALREADY_EXISTS where the name is taken, RESOURCE_EXHAUSTED while another
        backup is made, UNAVAILABLE (STORE_FAILED) where it cannot be written.
        """
        ...

    async def close(self) -> None:
        """Write what waits, then close."""
        ...


class Clock(Protocol):
    """Both clocks in one reading."""

    def now(self) -> Now:
        """What time it is."""
        ...


class Chance(Protocol):
    """Randomness, for whatever must not happen in step."""

    def fraction(self) -> float:
        """At least 0, less than 1."""
        ...


class Ids(Protocol):
    """Fresh names; random outside tests."""

    def new_id(self) -> str:
        """32 lower-case hex characters."""
        ...


class Hooks(Protocol):
    """Runs a prestop hook. Its failure is the hook's own affair."""

    async def run(self, hook: HttpHook, *, kind: str) -> Fault | None:
        """Make the GET with the header "prestop_type: KIND"; a Fault says why it failed."""
        ...
