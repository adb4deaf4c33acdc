"""An agent in memory, for the rooms around it: it follows the core's table of requests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cubelet.core.bindings import Mode, Snapshot, bound_to
from cubelet.core.conditions import Condition, conditions
from cubelet.core.effects import Entry
from cubelet.core.explain import Explanation, Forecast
from cubelet.core.faults import Code, Reason, error
from cubelet.core.inputs import Cause, Expected
from cubelet.core.model import Call, Key, Now, Operation, OpKind, Record, State
from cubelet.core.node import Diagnosis, NodeStatus
from cubelet.core.policy import Policy
from cubelet.core.spec import Spec
from cubelet.core.table import REQUESTS, Join, Refuse, Verb
from cubelet.engine.facade import ANYTHING
from cubelet.engine.ports import Backup

START_NS = 1_700_000_000_000_000_000
_OPEN = {State.PAUSING: OpKind.PAUSE, State.RESUMING: OpKind.RESUME}


class StillClock:
    """Time that stands still: what a duration is made of is not the point here."""

    def now(self) -> Now:
        return Now(wall_ns=START_NS, mono_s=0.0)


class CountingIds:
    """incident-1 and so on: every name that the agent gives can be told from a user's."""

    def __init__(self) -> None:
        self.given = 0

    def new_id(self) -> str:
        self.given += 1
        return f"{self.given:032x}"


def make_record(sandbox_id: str, state: State = State.RUNNING, spec: Spec | None = None) -> Record:
    """A record whose facts say `state`, with a different stamp for every fact."""
    record = Record(
        id=sandbox_id,
        namespace="default",
        incarnation="i1",
        spec=spec or Spec(runtime="fake", args=("sleep", "1")),
        epoch=1,
        revision=2,
        created_at_ns=START_NS,
        started_at_ns=0 if state is State.CREATED else START_NS + 1,
    )
    if state in {State.PAUSED, State.RESUMING}:
        record = replace(record, paused_at_ns=START_NS + 2)
    if state in _OPEN:
        record = replace(record, open=open_operation(_OPEN[state]))
    if state is State.EXITED:
        record = replace(record, finished_at_ns=START_NS + 4, exit_code=0)
    if state is State.DELETED:
        record = replace(record, tombstone_at_ns=START_NS + 5)
    assert record.state is state
    return record


def open_operation(kind: OpKind) -> Operation:
    return Operation(
        op_id="op1",
        kind=kind,
        epoch=1,
        call=Call.ABANDONED,
        started_at=Now(wall_ns=START_NS + 3, mono_s=1.0),
    )


def make_snapshot(snapshot_id: str, sandbox_id: str = "s1") -> Snapshot:
    return Snapshot(
        id=snapshot_id,
        runtime="fake",
        sandbox_id=sandbox_id,
        incarnation="i1",
        path=f"/snapshots/{snapshot_id}",
        mode=Mode.FULL,
        generation=7,
        created_at_ns=START_NS + 500_000_000,
    )


def make_entry(sandbox_id: str, revision: int) -> Entry:
    return Entry(
        sandbox_id=sandbox_id,
        incarnation="i1",
        revision=revision,
        epoch=1,
        at_ns=START_NS + revision,
        cause=Cause.RPC,
        before=State.RUNNING if revision > 1 else None,
        after=State.PAUSING,
        op_id="op1",
        detail="pause requested",
    )


@dataclass
class FakeAgent:
    """`failures` by method are raised; a method with a `gates` event waits for it first.

    `keys` has what every call was given as its key, `expected` what it was to find.
    """

    records: dict[str, Record] = field(default_factory=dict)
    failures: dict[str, Exception] = field(default_factory=dict)
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    keys: list[Key | None] = field(default_factory=list)
    expected: list[Expected] = field(default_factory=list)
    catalog: list[Snapshot] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    explanations: dict[str, Explanation] = field(default_factory=dict)
    diagnosis: Diagnosis = field(default_factory=lambda: Diagnosis(orphans=()))
    runtimes: Sequence[str] = ("fake", "other")
    #: What holds at every sandbox, beside what follows from its record.
    remarkable: tuple[Condition, ...] = ()
    told: NodeStatus = field(
        default_factory=lambda: NodeStatus(
            conditions=(), sandboxes={}, unreadable={}, relist_age_s=0.0
        )
    )

    def add(
        self, sandbox_id: str, state: State = State.RUNNING, spec: Spec | None = None
    ) -> Record:
        record = self.records[sandbox_id] = make_record(sandbox_id, state, spec)
        return record

    async def create(
        self, spec: Spec, *, sandbox_id: str, namespace: str, key: Key | None = None
    ) -> Record:
        await self._enter("create", sandbox_id, key)
        made = replace(spec, runtime=spec.runtime or self.runtimes[0])
        record = make_record(sandbox_id or "a" * 32, State.RUNNING, made)
        self.records[record.id] = replace(record, namespace=namespace or "default")
        return self.records[record.id]

    async def get(self, sandbox_id: str) -> Record:
        await self._enter("get", sandbox_id)
        return self._known(sandbox_id)

    def resolve(self, text: str) -> str:
        if "resolve" in self.failures:
            raise self.failures["resolve"]
        fits = [known for known in self.records if known.startswith(text)]
        if text in self.records or len(fits) == 1:
            return text if text in self.records else fits[0]
        reason = Reason.AMBIGUOUS_ID if fits else Reason.SANDBOX_NOT_FOUND
        raise error(Code.NOT_FOUND, reason, f"sandbox {text} is not known")

    def conditions(self, record: Record) -> Sequence[Condition]:
        return (*conditions(record, StillClock().now(), Policy()), *self.remarkable)

    def status(self) -> NodeStatus:
        return self.told

    def view(self) -> Sequence[Record]:
        if "view" in self.failures:
            raise self.failures["view"]
        return list(self.records.values())

    async def pause(
        self, sandbox_id: str, *, expected: Expected = ANYTHING, key: Key | None = None
    ) -> Record:
        await self._enter("pause", sandbox_id, key)
        self.expected.append(expected)
        self._allowed(sandbox_id, Verb.PAUSE, expected)
        return self.add(sandbox_id, State.PAUSED, self.records[sandbox_id].spec)

    async def resume(
        self, sandbox_id: str, *, expected: Expected = ANYTHING, key: Key | None = None
    ) -> Record:
        await self._enter("resume", sandbox_id, key)
        self.expected.append(expected)
        self._allowed(sandbox_id, Verb.RESUME, expected)
        return self.add(sandbox_id, State.RUNNING, self.records[sandbox_id].spec)

    async def delete(self, sandbox_id: str, *, key: Key | None = None) -> None:
        await self._enter("delete", sandbox_id, key)
        self._known(sandbox_id)
        del self.records[sandbox_id]

    async def commit(
        self, sandbox_id: str, *, snapshot_id: str, key: Key | None = None
    ) -> tuple[Record, Snapshot]:
        await self._enter("commit", sandbox_id, key)
        self._allowed(sandbox_id, Verb.COMMIT)
        snapshot = make_snapshot(snapshot_id, sandbox_id)
        self.catalog.append(snapshot)
        return self._bound(sandbox_id, snapshot), snapshot

    async def rollback(
        self, sandbox_id: str, *, snapshot_id: str, key: Key | None = None
    ) -> Record:
        await self._enter("rollback", sandbox_id, key)
        self._allowed(sandbox_id, Verb.ROLLBACK)
        found = next((known for known in self.catalog if known.id == snapshot_id), None)
        if found is None:
            raise error(Code.NOT_FOUND, Reason.SNAPSHOT_NOT_FOUND, f"no snapshot {snapshot_id}")
        return self._bound(sandbox_id, found)

    def snapshots(self) -> Sequence[Snapshot]:
        if "snapshots" in self.failures:
            raise self.failures["snapshots"]
        return list(self.catalog)

    async def explain(self, sandbox_id: str) -> Explanation:
        await self._enter("explain", sandbox_id)
        self._known(sandbox_id)
        return self.explanations[sandbox_id]

    async def journal(self, sandbox_id: str, *, limit: int) -> Sequence[Entry]:
        await self._enter("journal", sandbox_id)
        fits = [entry for entry in self.entries if sandbox_id in ("", entry.sandbox_id)]
        return fits[-limit:]

    async def reconcile(self, sandbox_id: str) -> Record:
        await self._enter("reconcile", sandbox_id)
        return self._known(sandbox_id)

    async def forecast(self, sandbox_id: str) -> Forecast:
        await self._enter("forecast", sandbox_id)
        state = self._known(sandbox_id).state
        evidence = "shim says RUNNING (pid 8)"
        return Forecast(evidence=evidence, before=state, after=State.RUNNING, would=("write it",))

    async def repair(self, sandbox_id: str) -> Record:
        await self._enter("repair", sandbox_id)
        return self._known(sandbox_id)

    async def doctor(self, *, fix: bool) -> Diagnosis:
        await self._enter("doctor", "fix" if fix else "")
        return self.diagnosis

    async def backup(self, name: str) -> Backup:
        await self._enter("backup", name)
        return Backup(path=f"/state/backups/{name or 'now'}.db", bytes=1 << 33)

    async def _enter(self, method: str, sandbox_id: str, key: Key | None = None) -> None:
        self.calls.append((method, sandbox_id))
        self.keys.append(key)
        self.entered.set()
        if method in self.gates:
            await self.gates[method].wait()
        if method in self.failures:
            raise self.failures[method]

    def _known(self, sandbox_id: str) -> Record:
        record = self.records.get(sandbox_id)
        if record is None:
            message = f"sandbox {sandbox_id} is not known"
            raise error(Code.NOT_FOUND, Reason.SANDBOX_NOT_FOUND, message)
        return record

    def _allowed(self, sandbox_id: str, verb: Verb, expected: Expected = ANYTHING) -> None:
        record = self._known(sandbox_id)
        if expected.epoch not in (None, record.epoch):
            raise error(Code.FAILED_PRECONDITION, Reason.STALE_EPOCH, "another epoch")
        if expected.state not in (None, record.state):
            raise error(Code.FAILED_PRECONDITION, Reason.UNEXPECTED_STATE, "another state")
        rule = REQUESTS[record.state, verb]
        if isinstance(rule, Join):  # Its first caller has gone.
            rule = rule.otherwise
        if isinstance(rule, Refuse):
            fault = rule.fault(sandbox_id)
            raise error(fault.code, fault.reason, fault.message)

    def _bound(self, sandbox_id: str, snapshot: Snapshot) -> Record:
        bound = bound_to(snapshot.id, at_ns=START_NS + 6, generation=snapshot.generation)
        record = self.records[sandbox_id] = replace(self.records[sandbox_id], bindings=bound)
        return record
