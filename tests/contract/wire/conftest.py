"""A real server on a socket of its own, and a channel that knows no stubs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc.aio
import pytest

from cubelet.obs.metrics import Metrics
from cubelet.rpc.server import RpcServer
from cubelet.rpc.services import Needs
from cubelet.rpc.sockets import Listen
from tests.unit.rpc.fakes import CountingIds, FakeAgent, StillClock

Caller = Callable[[str, bytes], Awaitable[bytes]]


@pytest.fixture
def agent() -> FakeAgent:
    return FakeAgent()


@pytest.fixture
async def call(agent: FakeAgent, tmp_path: Path) -> AsyncIterator[Caller]:
    path = tmp_path / "run" / "cubelet.sock"
    needs = Needs(
        agent=agent,
        clock=StillClock(),
        ids=CountingIds(),
        metrics=Metrics(),
        sqlite_version="3",
    )
    server = RpcServer(needs, Listen(socket_path=path, local_path=path.with_suffix(".ttrpc")))
    await server.start()
    options = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.insecure_channel(f"unix:{path}", options=options) as channel:

        async def raw(rpc: str, request: bytes) -> bytes:
            method = f"/cubelet.services.cubebox.v1.CubeboxMgr/{rpc}"
            stub: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
            reply = await stub(request, timeout=10)
            assert isinstance(reply, bytes)
            return reply

        yield raw
    await server.stop(0)
