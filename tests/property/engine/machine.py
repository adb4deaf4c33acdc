"""The world of the stateful test: two sandboxes on toy shims, callers, and what must hold."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cubelet.core.bindings import CommitPlan, Mode, Snapshot
from cubelet.core.effects import Entry
from cubelet.core.evidence import Status
from cubelet.core.faults import Code, CubeletError, Fault, Reason
from cubelet.core.model import Call, Handle, Key, Record, State
from cubelet.engine.engine import Engine
from cubelet.engine.ports import CallFailed, Capabilities, Committed, StoreFailed
from tests.support.engine import (
    SPEC,
    Action,
    ToyRuntime,
    Tube,
    hangs,
    loses_connection,
    refuses,
    takes,
)
from tests.support.rack import Rack

NAMES = ("a", "b")
RESTORES = Capabilities(opaque_restore=True, snapshots=True, heals=True, second_witness=True)
#: An abandoned snapshot is judged after 120 s, and what it hid is found a round later.
CALM_S = 120 + 2 * 10 + 5 + 1
FULL = StoreFailed("disk full", cause="SQLITE_FULL")


class LineageToy(ToyRuntime):
    """A toy that knows what its memory is an increment of; a commit on anything else is a bug."""

    tracked: str | None = None
    restored: str | None = None

    def restore(self, image: str | None) -> None:
        """Its memory comes from an image; None is one that no catalog has."""
        self.generation += 1
        self.tracked = self.restored = image

    async def create(self, record: Record) -> Handle:
        self.generation, self.tracked, self.restored = 0, None, None
        return await super().create(record)

    async def resume(self, record: Record) -> None:
        before = self.generation
        await super().resume(record)
        self.generation = before
        self.restore(None)

    async def commit(self, record: Record, plan: CommitPlan) -> Committed:
        if plan.generation not in {None, self.generation}:
            fault = Fault(code=Code.FAILED_PRECONDITION, reason=Reason.STALE_BASE, message="stale")
            raise CallFailed(fault, call=Call.ANSWERED)
        true = {Mode.SOFT_DIRTY: self.tracked, Mode.INCREMENTAL: self.restored, Mode.FULL: ""}
        assert plan.base_id == true[plan.mode], f"{plan} upon {self.tracked}, {self.restored}"
        self.tracked = None
        taken = await super().commit(record, plan)
        self.tracked = plan.snapshot_id
        return taken

    async def rollback(self, record: Record, snapshot: Snapshot) -> int:
        await super().rollback(record, snapshot)
        self.generation -= 1
        self.restore(snapshot.id)
        return self.generation


async def does_it_but_refuses(toy: ToyRuntime) -> None:
    """The thing is done, and the shim answers with a failure all the same."""
    assert isinstance(toy, LineageToy)
    if toy.status is Status.PAUSED:
        toy.restore(None)
    toy.status = Status.RUNNING if toy.status is Status.PAUSED else Status.PAUSED
    await refuses("it lies")(toy)


#: What a call may do, and whether it then has failed for its caller.
PLANS: dict[str, tuple[Action, bool]] = {
    "works": (takes(0.2), False),
    "is slow": (takes(29), False),
    "is late": (takes(65), True),  # Later than the longest limit, that of a snapshot.
    "hangs": (hangs, True),
    "refuses": (refuses("no"), True),
    "loses its connection": (loses_connection, True),
    "does it but refuses": (does_it_but_refuses, True),
}


@dataclass(eq=False)
class Caller:
    """One request, and whether the runtime call that was planned for it was made and failed."""

    what: str
    task: asyncio.Task[object]
    failed: bool = False


class World:
    """Everything that a run needs; its methods run inside the virtual loop."""

    def __init__(self) -> None:
        self.rack = Rack(capabilities=RESTORES)
        self.rack.toys.default_factory = lambda: LineageToy(capabilities=RESTORES)
        self.tube = Tube(rack=self.rack)
        self.engine: Engine
        self.callers: list[Caller] = []
        self.entries: list[Entry] = []
        self.asked = 0

    async def begin(self) -> None:
        self.engine = self.tube.engine()
        await self.engine.start()

    async def ask(self, verb: str, name: str, plan: str, *, keyed: bool) -> None:
        """Send a request whose runtime call, if it makes one, goes as planned."""
        self.asked += 1
        key = Key(value=f"k{self.asked}", digest="d") if keyed else None
        asks: dict[str, Callable[[], Awaitable[object]]] = {
            "create": lambda: self.engine.create(SPEC, sandbox_id=name, namespace="", key=key),
            "pause": lambda: self.engine.pause(name, key=key),
            "resume": lambda: self.engine.resume(name, key=key),
            "delete": lambda: self.engine.delete(name, key=key),
            "commit": lambda: self.engine.commit(name, snapshot_id=f"s{self.asked}", key=key),
            "rollback": lambda: self.engine.rollback(name, snapshot_id=self.some_snapshot()),
            "get": lambda: self.engine.get(name),
            "repair": lambda: self.engine.repair(name),
        }
        if plan == "does it but refuses" and verb not in {"pause", "resume"}:
            plan = "refuses"
        action, fails = PLANS[plan]

        async def ask() -> object:
            return await asks[verb]()

        caller = Caller(f"{verb} {name}: {plan}", asyncio.create_task(ask()))
        self.callers.append(caller)

        async def planned(toy: ToyRuntime) -> None:
            caller.failed = fails
            await action(toy)

        self.rack.toys[name].plans.clear()
        if verb not in {"get", "delete", "repair"}:
            self.rack.toys[name].plans.append(planned)
        await asyncio.sleep(1)
        self.rack.toys[name].plans.clear()

    def some_snapshot(self) -> str:
        """The newest one, or a name that nobody has."""
        return next((one.id for one in reversed(self.engine.snapshots())), "nobody")

    async def crash(self) -> None:
        """Kill -9 the agent; the shims live on."""
        await self.engine.close()
        for caller in self.callers:
            caller.task.cancel()
        await asyncio.gather(*(caller.task for caller in self.callers), return_exceptions=True)
        self.callers.clear()
        self.entries += self.tube.store.entries
        refuse = self.tube.store.refuse
        self.tube = self.tube.restarted()
        self.tube.store.refuse = refuse
        self.engine = self.tube.engine()
        await self.engine.start()

    async def stranger(self, name: str, status: Status) -> None:
        """Somebody else pauses or resumes it."""
        toy = self.rack.toys[name]
        assert isinstance(toy, LineageToy)
        if toy.status is Status.PAUSED and status is Status.RUNNING:
            toy.restore(None)
        toy.status = status

    async def calm(self) -> None:
        """All is well again; within the bounds the view must be the truth."""
        self.tube.store.refuse = lambda _: None
        for toy in self.rack.toys.values():
            toy.evidence = None
            toy.awakes()
        await asyncio.sleep(CALM_S)
        for record in self.engine.view():
            toy = self.rack.toys[record.id]
            truth = State(toy.status.value) if toy.alive else State.EXITED
            assert record.state is truth, f"{record} but {toy}"
            assert record.unseen_since is None or record.state is State.EXITED
        unanswered = [caller.what for caller in self.callers if not caller.task.done()]
        assert unanswered == []

    async def end(self) -> None:
        """Delete all; nothing is left, no task either but the loops and calls that hang."""
        for record in list(self.engine.view()):
            await self.engine.delete(record.id)
        assert (list(self.engine.view()), self.tube.store.records) == ([], {})
        await self.engine.close()
        assert self.engine._supervisor.crashed == 0

    def check(self) -> None:
        """What holds at every moment."""
        view = {record.id: seen(record) for record in self.engine.view()}
        disk = {name: seen(record) for name, record in self.tube.store.records.items()}
        assert view == disk
        check_journal([*self.entries, *self.tube.store.entries])
        for caller in [one for one in self.callers if one.task.done()]:
            self.callers.remove(caller)
            failure = caller.task.exception()
            assert failure is None or isinstance(failure, CubeletError), caller.what
            assert not (caller.failed and failure is None), f"OK for a failed call: {caller.what}"
            if isinstance(failure, CubeletError):
                assert failure.fault.reason is not Reason.BUG, caller.what


def seen(record: Record) -> tuple[object, ...]:
    """What others rely on."""
    return (record.state, record.epoch, record.revision, record.bindings)


def check_journal(entries: list[Entry]) -> None:
    """For each life of each sandbox the revisions follow one another, and so do the states."""
    last: dict[tuple[str, str], tuple[int, State | None]] = {}
    for entry in entries:
        life = (entry.sandbox_id, entry.incarnation)
        revision, state = last.get(life, (0, None))
        assert (entry.revision, entry.before) == (revision + 1, state)
        last[life] = (entry.revision, entry.after)
