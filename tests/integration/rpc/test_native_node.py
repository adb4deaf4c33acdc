"""The native API's Node service over a real socket."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from cubelet.api.v1 import node_pb2 as pb
from cubelet.api.v1 import sandboxes_pb2
from cubelet.api.v1.node_pb2_grpc import NodeStub
from cubelet.api.v1.sandboxes_pb2_grpc import SandboxesStub
from cubelet.core.conditions import Condition, ConditionKind
from cubelet.core.model import State
from cubelet.core.node import Diagnosis, NodeStatus, Orphan
from cubelet.rpc.native.node import UNREADABLE_MAX
from tests.unit.rpc.fakes import FakeAgent

if TYPE_CHECKING:
    from cubelet.api.v1.node_pb2_grpc import NodeAsyncStub
    from cubelet.api.v1.sandboxes_pb2_grpc import SandboxesAsyncStub


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> NodeAsyncStub:
    return NodeStub(channel)


async def test_the_status_is_what_the_agent_says(stub: NodeAsyncStub, agent: FakeAgent) -> None:
    condition = Condition(kind=ConditionKind.DEGRADED_STORE, since_ns=5, evidence="full\udcff")
    agent.told = NodeStatus(
        conditions=(condition,),
        sandboxes={State.RUNNING: 2, State.PAUSED: 1},
        unreadable={"sb": "why\udcff"},
        relist_age_s=1.5,
    )
    told = await stub.Status(pb.StatusRequest(), timeout=10)
    assert told == pb.StatusResponse(
        conditions=[
            sandboxes_pb2.Condition(
                kind="DEGRADED_STORE", since=Timestamp(nanos=5), evidence="full?"
            )
        ],
        sandboxes={"RUNNING": 2, "PAUSED": 1},
        unreadable={"sb": "why?"},
        relist_age=Duration(seconds=1, nanos=500_000_000),
    )


async def test_more_unreadable_records_than_a_reply_can_hold_are_counted(
    stub: NodeAsyncStub, agent: FakeAgent
) -> None:
    names = [f"sb{number:05}" for number in range(UNREADABLE_MAX + 7)]
    unreadable = dict.fromkeys(names, "x" * 5000)
    agent.told = replace(agent.told, unreadable=unreadable)
    told = await stub.Status(pb.StatusRequest(), timeout=10)
    assert sorted(told.unreadable) == names[:UNREADABLE_MAX]
    assert told.unreadable_more == 7


async def test_what_holds_for_the_node_is_shown_at_each_sandbox(
    channel: grpc.aio.Channel, agent: FakeAgent
) -> None:
    agent.add("sb")
    degraded = Condition(kind=ConditionKind.DEGRADED_STORE, since_ns=5, evidence="full")
    agent.remarkable = (degraded,)
    sandboxes: SandboxesAsyncStub = SandboxesStub(channel)
    got = await sandboxes.Get(sandboxes_pb2.GetRequest(id="sb"), timeout=10)
    assert [it.kind for it in got.sandbox.conditions] == ["DEGRADED_STORE"]
    (listed,) = (await sandboxes.List(sandboxes_pb2.ListRequest(), timeout=10)).sandboxes
    assert listed.conditions == got.sandbox.conditions


async def test_a_backup_says_where_it_is(stub: NodeAsyncStub, agent: FakeAgent) -> None:
    made = await stub.Backup(pb.BackupRequest(name="one"), timeout=10)
    assert (made.path, made.bytes) == ("/state/backups/one.db", 1 << 33)
    unnamed = await stub.Backup(pb.BackupRequest(), timeout=10)
    assert unnamed.path == "/state/backups/now.db"
    assert agent.calls == [("backup", "one"), ("backup", "")]


@pytest.mark.parametrize("fix", [False, True])
async def test_orphans_are_told_and_removed_only_if_asked(
    stub: NodeAsyncStub, agent: FakeAgent, *, fix: bool
) -> None:
    left = Orphan(sandbox_id="a", runtime="fake", found=("bundle /a",), failure="busy")
    gone = Orphan(sandbox_id="b", runtime="shimv2", found=("x\udcff", "y"), removed=True)
    agent.diagnosis = Diagnosis(orphans=(left, gone), more=7)
    told = await stub.Doctor(pb.DoctorRequest(fix=fix), timeout=10)
    assert told == pb.DoctorResponse(
        orphans=[
            pb.Orphan(sandbox_id="a", runtime="fake", found=["bundle /a"], failure="busy"),
            pb.Orphan(sandbox_id="b", runtime="shimv2", found=["x?", "y"], removed=True),
        ],
        more=7,
    )
    assert agent.calls == [("doctor", "fix" if fix else "")]
