"""A real server on a unix socket and on loopback TCP, in front of an agent in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest
from google.rpc import error_details_pb2  # type: ignore[import-untyped]
from grpc_health.v1 import health_pb2
from grpc_status import rpc_status

from cubelet.obs.metrics import Metrics
from cubelet.rpc.server import RpcServer
from cubelet.rpc.services import Needs
from cubelet.rpc.sockets import Listen
from tests.unit.rpc.fakes import CountingIds, FakeAgent, StillClock

Health = grpc.aio.UnaryUnaryMultiCallable[
    health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
]
OPTIONS = (("grpc.use_local_subchannel_pool", 1),)


def details(failed: grpc.aio.AioRpcError) -> tuple[error_details_pb2.ErrorInfo, bool]:
    """The ErrorInfo, and whether there is a RetryInfo, read as clients read them."""
    status = rpc_status.from_call(failed)  # type: ignore[arg-type] # It works for aio's too.
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info, any(d.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for d in status.details)


@pytest.fixture
def agent() -> FakeAgent:
    return FakeAgent()


@pytest.fixture
def needs(agent: FakeAgent) -> Needs:
    return Needs(
        agent=agent,
        clock=StillClock(),
        ids=CountingIds(),
        metrics=Metrics(),
        sqlite_version="3.99",
    )


@pytest.fixture
def listen(tmp_path: Path) -> Listen:
    run = tmp_path / "run"
    return Listen(
        socket_path=run / "cubelet.sock", local_path=run / "cubelet.ttrpc", tcp="127.0.0.1:0"
    )


@pytest.fixture
async def server(needs: Needs, listen: Listen) -> AsyncIterator[RpcServer]:
    server = RpcServer(needs, listen)
    await server.start()
    yield server
    await server.stop(0)


@pytest.fixture
async def channel(server: RpcServer, listen: Listen) -> AsyncIterator[grpc.aio.Channel]:
    target = f"unix:{listen.socket_path}"
    async with grpc.aio.insecure_channel(target, options=OPTIONS) as channel:
        yield channel


@pytest.fixture
def check_health(channel: grpc.aio.Channel) -> Health:
    """Health.Check, typed: the package's own stub is not."""
    return channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
