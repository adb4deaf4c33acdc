"""The native API's Node service over a real socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc.aio
import pytest

from cubelet.api.v1 import node_pb2 as pb
from cubelet.api.v1.node_pb2_grpc import NodeStub
from tests.unit.rpc.fakes import FakeAgent

if TYPE_CHECKING:
    from cubelet.api.v1.node_pb2_grpc import NodeAsyncStub


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> NodeAsyncStub:
    return NodeStub(channel)


async def test_a_backup_says_where_it_is(stub: NodeAsyncStub, agent: FakeAgent) -> None:
    made = await stub.Backup(pb.BackupRequest(name="one"), timeout=10)
    assert (made.path, made.bytes) == ("/state/backups/one.db", 1 << 33)
    unnamed = await stub.Backup(pb.BackupRequest(), timeout=10)
    assert unnamed.path == "/state/backups/now.db"
    assert agent.calls == [("backup", "one"), ("backup", "")]
