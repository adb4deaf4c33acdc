"""An agent in memory, for the rooms around it: it follows the core's table of requests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cubelet.core.faults import Code, Reason, error
from cubelet.core.model import Call, Now, Operation, OpKind, Record, State
from cubelet.core.spec import Spec
from cubelet.core.table import REQUESTS, Refuse, Request

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


@dataclass
class FakeAgent:
    """`failures` by method are raised; a method with a `gates` event waits for it first."""

    records: dict[str, Record] = field(default_factory=dict)
    failures: dict[str, Exception] = field(default_factory=dict)
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    runtimes: Sequence[str] = ("fake", "other")

    def add(
        self, sandbox_id: str, state: State = State.RUNNING, spec: Spec | None = None
    ) -> Record:
        record = self.records[sandbox_id] = make_record(sandbox_id, state, spec)
        return record

    async def create(self, spec: Spec, *, sandbox_id: str, namespace: str) -> Record:
        await self._enter("create", sandbox_id)
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

    def view(self) -> Sequence[Record]:
        if "view" in self.failures:
            raise self.failures["view"]
        return list(self.records.values())

    async def pause(self, sandbox_id: str, *, expected_epoch: int | None = None) -> Record:
        await self._enter("pause", sandbox_id)
        return self._change(sandbox_id, Request.PAUSE, expected_epoch)

    async def resume(self, sandbox_id: str, *, expected_epoch: int | None = None) -> Record:
        await self._enter("resume", sandbox_id)
        return self._change(sandbox_id, Request.RESUME, expected_epoch)

    async def delete(self, sandbox_id: str) -> None:
        await self._enter("delete", sandbox_id)
        self._known(sandbox_id)
        del self.records[sandbox_id]

    async def _enter(self, method: str, sandbox_id: str) -> None:
        self.calls.append((method, sandbox_id))
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

    def _change(self, sandbox_id: str, request: Request, expected_epoch: int | None) -> Record:
        record = self._known(sandbox_id)
        if expected_epoch not in (None, record.epoch):
            raise error(Code.FAILED_PRECONDITION, Reason.STALE_EPOCH, "another epoch")
        rule = REQUESTS[record.state, request]
        if isinstance(rule, Refuse):
            fault = rule.fault(sandbox_id)
            raise error(fault.code, fault.reason, fault.message)
        state = State.PAUSED if request is Request.PAUSE else State.RUNNING
        return self.add(sandbox_id, state, record.spec)
