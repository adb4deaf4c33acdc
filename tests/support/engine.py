"""The engine in a test tube: a runtime that does as it is told, clocks of the virtual loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from cubelet.core.bindings import CommitPlan, Snapshot
from cubelet.core.evidence import Alive, Evidence, Gone, Status
from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.model import Call, Handle, Now, Record
from cubelet.core.policy import Policy
from cubelet.core.spec import HttpHook, Spec
from cubelet.engine.engine import Engine
from cubelet.engine.ports import (
    CallFailed,
    Capabilities,
    Chance,
    Clock,
    Committed,
    Runtime,
    Trace,
)
from tests.support.stores import RecordingStore

SPEC = Spec(runtime="toy", args=("count",))
HANDLE = Handle(
    address="unix:///toy", version=2, shim_pid=1, shim_start_ticks=1, pid=2, pid_start_ticks=2
)


class LoopClock:
    """Wall time that begins in 2001 and goes with the loop's clock."""

    def now(self) -> Now:
        mono_s = asyncio.get_running_loop().time()
        return Now(wall_ns=10**18 + int(mono_s * 1e9), mono_s=mono_s)


class CountingIds:
    """id1, id2, …"""

    def __init__(self) -> None:
        self._given = 0

    def new_id(self) -> str:
        self._given += 1
        return f"id{self._given}"


class NoChance:
    """Never shortens anything."""

    def fraction(self) -> float:
        return 0.0


Action = Callable[["ToyRuntime"], Awaitable[None]]


@dataclass
class ToyRuntime:
    """A shim as an object: what it is, what its next calls do, and what it was asked."""

    status: Status = Status.CREATED
    evidence: Evidence | None = None
    plans: deque[Action] = field(default_factory=deque)
    calls: list[str] = field(default_factory=list)
    #: When it was asked for its status, by the loop's clock.
    asked_s: list[float] = field(default_factory=list)
    silent: bool = False
    alive: bool = False
    generation: int = 0
    destroy_fault: Fault | None = None
    #: What it finds on the host; a test puts it there.
    left: list[Trace] = field(default_factory=list)
    name: str = "toy"
    capabilities: Capabilities = field(default_factory=Capabilities)

    def __post_init__(self) -> None:
        self._awake = asyncio.Event()

    def awakes(self) -> None:
        """Answer all questions that hang, and every one from now on."""
        self.silent = False
        self._awake.set()
        self._awake = asyncio.Event()

    def check(self, spec: Spec) -> None:
        return

    async def create(self, record: Record) -> Handle:
        self.calls.append("create")
        await self._next()
        self.status, self.alive = Status.RUNNING, True
        return HANDLE

    async def pause(self, record: Record) -> None:
        self.calls.append("pause")
        await self._next()
        self.status = Status.PAUSED

    async def resume(self, record: Record) -> None:
        self.calls.append("resume")
        await self._next()
        self.status = Status.RUNNING
        self.generation += self.capabilities.opaque_restore

    async def state(self, record: Record) -> Evidence:
        self.calls.append("state")
        self.asked_s.append(asyncio.get_running_loop().time())
        if self.silent:
            await self._awake.wait()
        if self.evidence is not None:
            return self.evidence
        return self._living() if self.alive else Gone(why="no process")

    async def commit(self, record: Record, plan: CommitPlan) -> Committed:
        self.calls.append(f"commit {plan.snapshot_id} {plan.mode} {plan.base_id}".rstrip())
        await self._next()
        return Committed(path=f"/toy/{plan.snapshot_id}", generation=self.generation)

    async def rollback(self, record: Record, snapshot: Snapshot) -> int:
        self.calls.append(f"rollback {snapshot.id}")
        await self._next()
        self.generation += 1
        return self.generation

    async def heal(self, record: Record, *, frozen: bool) -> None:
        self.calls.append("heal by freezing" if frozen else "heal by thawing")
        await self._next()
        self.evidence = None
        self.status = Status.PAUSED if frozen else Status.RUNNING

    async def destroy(self, record: Record) -> None:
        self.calls.append("destroy")
        if self.destroy_fault is not None:
            raise CallFailed(self.destroy_fault, call=Call.ANSWERED)
        self.alive = False

    async def traces(self, but: Collection[str] = frozenset()) -> Sequence[Trace]:
        return [trace for trace in self.left if trace.sandbox_id not in but]

    async def clear(self, trace: Trace) -> None:
        self.calls.append(f"clear {trace.sandbox_id or trace.snapshot_id}")
        await self._next()
        self.left.remove(trace)

    def _living(self) -> Alive:
        counted = self.generation if self.capabilities.opaque_restore else None
        return Alive(status=self.status, pid=2, generation=counted)

    async def _next(self) -> None:
        if self.plans:
            await self.plans.popleft()(self)


def takes(seconds: float) -> Action:
    async def action(_: ToyRuntime) -> None:
        await asyncio.sleep(seconds)

    return action


async def hangs(_: ToyRuntime) -> None:
    await asyncio.Event().wait()


def refuses(text: str, *, after: Status | None = None) -> Action:
    """The shim answers an error; with `after`, it did the thing all the same."""

    async def action(toy: ToyRuntime) -> None:
        if after is not None:
            toy.status = after
        fault = Fault(code=Code.ABORTED, reason=Reason.RUNTIME_REFUSED, message=text)
        raise CallFailed(fault, call=Call.ANSWERED)

    return action


async def loses_connection(_: ToyRuntime) -> None:
    fault = Fault(code=Code.UNAVAILABLE, reason=Reason.RUNTIME_LOST, message="connection lost")
    raise CallFailed(fault, call=Call.LOST)


class ToyHooks:
    """Notes the hooks it was to run; they take as long as it is told, or fail."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.takes_s = 0.0
        self.fault: Fault | None = None

    async def run(self, hook: HttpHook, *, kind: str) -> Fault | None:
        self.ran.append(f"{kind} {hook.host}:{hook.port}{hook.path}")
        await asyncio.sleep(self.takes_s)
        return self.fault


@dataclass
class Tube:
    """One engine with all that it stands on."""

    toy: ToyRuntime = field(default_factory=ToyRuntime)
    #: Stands in the place of `toy` where a test wants one shim for each sandbox.
    rack: Runtime | None = None
    clock: Clock = field(default_factory=LoopClock)
    chance: Chance = field(default_factory=NoChance)
    #: Goes on across a restart: an id is given once.
    ids: CountingIds = field(default_factory=CountingIds)
    store: RecordingStore = field(default_factory=RecordingStore)
    hooks: ToyHooks = field(default_factory=ToyHooks)
    policy: Policy = field(default_factory=Policy)
    #: Another one on a later life is a restart of the host.
    boot_id: str = ""

    def engine(self) -> Engine:
        return Engine(
            store=self.store,
            runtimes={"toy": self.rack} if self.rack else {self.toy.name: self.toy},
            hooks=self.hooks,
            clock=self.clock,
            ids=self.ids,
            chance=self.chance,
            policy=self.policy,
            boot_id=self.boot_id,
        )

    async def running(self, sandbox_id: str = "sb", spec: Spec = SPEC) -> Engine:
        """A started engine with one running sandbox."""
        engine = self.engine()
        await engine.start()
        await engine.create(spec, sandbox_id=sandbox_id, namespace="")
        return engine

    def restarted(self) -> Tube:
        """The same shim and disk under a new agent, as after kill -9."""
        return replace(self, store=self.store.reopened())
