"""Explain, Journal, Reconcile, Repair, and the conditions of every sandbox, over a real socket."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import grpc.aio
import pytest

from cubelet.api.v1 import sandboxes_pb2 as pb
from cubelet.api.v1.sandboxes_pb2_grpc import SandboxesStub
from cubelet.core.conditions import Condition, ConditionKind
from cubelet.core.explain import Explanation, Step
from cubelet.core.faults import Code, Reason, error
from cubelet.core.model import Call, LastSeen, Now, OpKind, State
from tests.unit.rpc.fakes import START_NS, FakeAgent, make_entry, open_operation

if TYPE_CHECKING:
    # The generated code has this name in its types only.
    from cubelet.api.v1.sandboxes_pb2_grpc import SandboxesAsyncStub


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> SandboxesAsyncStub:
    return SandboxesStub(channel)


async def test_an_explanation_arrives_whole(stub: SandboxesAsyncStub, agent: FakeAgent) -> None:
    record = replace(agent.add("s1-long", State.PAUSING))
    agent.explanations["s1-long"] = Explanation(
        record=record,
        why="a pause was begun \udcff",
        conditions=(
            Condition(kind=ConditionKind.OVERDUE, since_ns=START_NS + 7, evidence="not settled"),
        ),
        next_steps=(Step(what="ask again", in_s=0.25), Step(what="settle"), Step(what="x", in_s=0)),
        ways_out=("cubecli rm s1-long",),
        journal=(make_entry("s1-long", 1), make_entry("s1-long", 2)),
    )
    reply = await stub.Explain(pb.ExplainRequest(id="s1"), timeout=10)
    assert reply.why == "a pause was begun ?"
    assert reply.sandbox.state == pb.STATE_PAUSING
    (condition,) = reply.sandbox.conditions
    assert (condition.kind, condition.evidence) == ("OVERDUE", "not settled")
    assert condition.since.ToNanoseconds() == START_NS + 7
    assert [step.HasField("after") for step in reply.next_steps] == [True, False, True]
    assert reply.next_steps[0].after.ToMilliseconds() == 250
    assert list(reply.ways_out) == ["cubecli rm s1-long"]
    first, second = reply.journal
    assert (first.before, first.after) == (pb.STATE_UNSPECIFIED, pb.STATE_PAUSING)
    assert second.before == pb.STATE_RUNNING
    assert (second.cause, second.operation_id, second.detail) == ("rpc", "op1", "pause requested")
    assert (second.revision, second.epoch, second.incarnation) == (2, 1, "i1")
    assert second.at.ToNanoseconds() == START_NS + 2
    assert agent.calls == [("explain", "s1-long")]


@pytest.mark.parametrize(
    ("call", "age_s", "kinds"),
    [(Call.ABANDONED, 60, ["OVERDUE"]), (Call.ABANDONED, 59, []), (Call.IN_FLIGHT, 60, [])],
)
async def test_every_reply_has_the_conditions_that_hold_now(
    stub: SandboxesAsyncStub, agent: FakeAgent, call: Call, age_s: float, kinds: list[str]
) -> None:
    began = Now(wall_ns=START_NS, mono_s=-age_s)  # The test's clock stands at 0.
    operation = replace(open_operation(OpKind.PAUSE), call=call, started_at=began)
    agent.records["s1"] = replace(agent.add("s1"), open=operation)
    got = (await stub.Get(pb.GetRequest(id="s1"), timeout=10)).sandbox
    (listed,) = (await stub.List(pb.ListRequest(), timeout=10)).sandboxes
    assert [condition.kind for condition in got.conditions] == kinds
    assert listed == got


async def test_an_unseen_sandbox_says_since_when(
    stub: SandboxesAsyncStub, agent: FakeAgent
) -> None:
    since = Now(wall_ns=START_NS + 3, mono_s=0)
    seen = LastSeen(evidence="no answer: bad \udcff byte", cause="relist", at=since)
    agent.records["s1"] = replace(agent.add("s1"), last_seen=seen, unseen_since=since)
    got = (await stub.Get(pb.GetRequest(id="s1"), timeout=10)).sandbox
    (condition,) = got.conditions
    assert (condition.kind, condition.evidence) == ("UNSEEN", "no answer: bad ? byte")
    assert condition.since.ToNanoseconds() == START_NS + 3


async def test_how_the_call_of_an_operation_stands(
    stub: SandboxesAsyncStub, agent: FakeAgent
) -> None:
    operation = replace(open_operation(OpKind.COMMIT), answered=True, attempt=4, snapshot_id="snap")
    agent.records["s1"] = replace(agent.add("s1"), open=operation)
    shown = (await stub.Get(pb.GetRequest(id="s1"), timeout=10)).sandbox
    assert shown.state == pb.STATE_RUNNING
    assert shown.operation.call == "ABANDONED"
    assert (shown.operation.caller_answered, shown.operation.attempt) == (True, 4)
    assert shown.operation.snapshot_id == "snap"


async def test_the_newest_entries_of_one_or_of_all(
    stub: SandboxesAsyncStub, agent: FakeAgent
) -> None:
    agent.entries = [make_entry(name, n) for n in range(1, 61) for name in ("s1", "gone")]
    of_one = await stub.Journal(pb.JournalRequest(id="gone", limit=2), timeout=10)
    assert [(e.sandbox_id, e.revision) for e in of_one.entries] == [("gone", 59), ("gone", 60)]
    of_all = await stub.Journal(pb.JournalRequest(), timeout=10)
    assert len(of_all.entries) == 100
    assert of_all.entries[-1].sandbox_id == "gone"


async def test_a_reconcile_and_its_dry_run(stub: SandboxesAsyncStub, agent: FakeAgent) -> None:
    agent.add("s1", State.PAUSING)
    dry = await stub.Reconcile(pb.ReconcileRequest(id="s1", dry_run=True), timeout=10)
    assert not dry.HasField("sandbox")
    assert dry.forecast == pb.Forecast(
        evidence="shim says RUNNING (pid 8)",
        before=pb.STATE_PAUSING,
        after=pb.STATE_RUNNING,
        would=["write it"],
    )
    wet = await stub.Reconcile(pb.ReconcileRequest(id="s1"), timeout=10)
    assert (wet.sandbox.id, wet.HasField("forecast")) == ("s1", False)
    assert agent.calls == [("forecast", "s1"), ("reconcile", "s1")]


async def test_a_repair(stub: SandboxesAsyncStub, agent: FakeAgent) -> None:
    agent.add("s1")
    assert (await stub.Repair(pb.RepairRequest(id="s1"), timeout=10)).sandbox.id == "s1"
    agent.failures["repair"] = error(Code.FAILED_PRECONDITION, Reason.NOT_DIVERGED, "it is well")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Repair(pb.RepairRequest(id="s1"), timeout=10)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_only_explain_takes_a_prefix(stub: SandboxesAsyncStub, agent: FakeAgent) -> None:
    agent.add("job-10")
    for call in (
        stub.Reconcile(pb.ReconcileRequest(id="job-1"), timeout=10),
        stub.Reconcile(pb.ReconcileRequest(id="job-1", dry_run=True), timeout=10),
        stub.Repair(pb.RepairRequest(id="job-1"), timeout=10),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    reply = await stub.Journal(pb.JournalRequest(id="job-1"), timeout=10)
    assert not reply.entries
