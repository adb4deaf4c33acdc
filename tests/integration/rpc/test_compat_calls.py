"""The compatible API as operators see it: gRPC says OK, logs and metrics say what was wrong."""

from __future__ import annotations

import grpc.aio
import pytest
import structlog

from cubelet.rpc.services import Needs
from cubelet.services.cubebox.v1 import cubebox_pb2 as pb
from cubelet.services.cubebox.v1 import cubebox_pb2_grpc
from tests.unit.rpc.fakes import FakeAgent

UPDATE = "/cubelet.services.cubebox.v1.CubeboxMgr/Update"


@pytest.mark.parametrize(
    ("sent", "logged"),
    [("master-7", "master-7"), ("", "1".zfill(32)), ('x\n{"forged": 1}', "1".zfill(32))],
    ids=["usable", "none", "hostile"],
)
async def test_a_business_error_is_counted_and_logged(
    channel: grpc.aio.Channel, needs: Needs, agent: FakeAgent, sent: str, logged: str
) -> None:
    agent.add("s1")
    request = pb.UpdateCubeSandboxRequest(
        requestID=sent, sandboxID="s1", annotations={"cube.master.update_action": "resume"}
    )
    with structlog.testing.capture_logs() as lines:
        reply = await cubebox_pb2_grpc.CubeboxMgrStub(channel).Update(request, timeout=10)
    assert (reply.requestID, reply.ret.ret_code) == (sent, 130490)
    (line,) = [line for line in lines if line["event"] == "request"]
    assert (line["method"], line["outcome"]) == (UPDATE, "ALREADY_RUNNING")
    assert (line["request_id"], line["message"]) == (logged, "sandbox already running")
    labels = {"method": UPDATE, "outcome": "ALREADY_RUNNING"}
    sample = needs.metrics.registry.get_sample_value("cubelet_rpc_requests_total", labels)
    assert sample == 1
