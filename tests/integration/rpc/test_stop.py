"""Callers that give up, and a server that stops: no operation is hurt, nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2

from cubelet.api.v1 import sandboxes_pb2 as pb
from cubelet.api.v1.sandboxes_pb2_grpc import SandboxesStub
from cubelet.core.faults import CubeletError
from cubelet.core.inputs import Expected
from cubelet.core.model import Key, Record, State
from cubelet.engine.facade import ANYTHING
from cubelet.rpc.server import RpcServer
from cubelet.rpc.services import Needs
from cubelet.services.cubebox.v1 import cubebox_pb2, cubebox_pb2_grpc
from tests.integration.rpc.conftest import Health, details
from tests.unit.rpc.fakes import FakeAgent

PAUSE = pb.PauseRequest(id="s1")

if TYPE_CHECKING:
    # The generated code has this name in its types only.
    from cubelet.api.v1.sandboxes_pb2_grpc import SandboxesAsyncStub


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> SandboxesAsyncStub:
    return SandboxesStub(channel)


@pytest.fixture
async def gate(agent: FakeAgent) -> AsyncIterator[asyncio.Event]:
    """Pause waits until this is set."""
    agent.add("s1")
    agent.gates["pause"] = asyncio.Event()
    yield agent.gates["pause"]
    agent.gates["pause"].set()


def outcome(needs: Needs, outcome: str) -> float | None:
    labels = {"method": "/cubelet.api.v1.Sandboxes/Pause", "outcome": outcome}
    return needs.metrics.registry.get_sample_value("cubelet_rpc_requests_total", labels)


async def refusal(stub: SandboxesAsyncStub) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Get(pb.GetRequest(id="s1"), timeout=10)
    return caught.value


async def test_a_caller_that_gives_up_ends_the_waiting_only(
    server: RpcServer, stub: SandboxesAsyncStub, agent: FakeAgent, gate: asyncio.Event, needs: Needs
) -> None:
    call = asyncio.ensure_future(stub.Pause(PAUSE, timeout=10))
    await agent.entered.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await server._gate.idle(10)
    assert server._gate._tasks == set()
    assert outcome(needs, "CANCELLED") == 1
    assert needs.metrics.registry.get_sample_value("cubelet_rpc_in_flight") == 0
    gate.set()
    assert (await stub.Pause(PAUSE, timeout=10)).sandbox.state == pb.STATE_PAUSED


async def test_draining_refuses_the_new_and_keeps_the_old(
    server: RpcServer,
    channel: grpc.aio.Channel,
    check_health: Health,
    agent: FakeAgent,
    gate: asyncio.Event,
) -> None:
    stub = SandboxesStub(channel)
    running = asyncio.ensure_future(stub.Pause(PAUSE, timeout=10))
    await agent.entered.wait()
    await server.drain()
    failed = await refusal(stub)
    assert failed.code() is grpc.StatusCode.UNAVAILABLE
    info, retry = details(failed)
    assert (info.reason, retry) == ("SHUTTING_DOWN", True)
    manager = cubebox_pb2_grpc.CubeboxMgrStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await manager.List(cubebox_pb2.ListCubeSandboxRequest(), timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    for service in ("", "cubelet.api.v1.Sandboxes", "cubelet.services.cubebox.v1.CubeboxMgr"):
        reply = await check_health(health_pb2.HealthCheckRequest(service=service), timeout=10)
        assert reply.status == health_pb2.HealthCheckResponse.NOT_SERVING
    gate.set()
    assert (await running).sandbox.state == pb.STATE_PAUSED


async def test_stop_lets_a_running_request_end_and_answer(
    server: RpcServer, stub: SandboxesAsyncStub, agent: FakeAgent, gate: asyncio.Event
) -> None:
    running = asyncio.ensure_future(stub.Pause(PAUSE, timeout=10))
    await agent.entered.wait()
    stopping = asyncio.ensure_future(server.stop(10))
    assert (await refusal(stub)).code() is grpc.StatusCode.UNAVAILABLE
    assert not stopping.done()
    gate.set()
    assert (await running).sandbox.state == pb.STATE_PAUSED
    await stopping


class SlowToClean(FakeAgent):
    """Its pause needs the loop a while to clean up when it is cancelled."""

    cleaned = False

    async def pause(
        self, sandbox_id: str, *, expected: Expected = ANYTHING, key: Key | None = None
    ) -> Record:
        self.entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(1000):
                await asyncio.sleep(0)
            self.cleaned = True
        raise AssertionError(sandbox_id, expected, key)


class TestSlowToClean:
    @pytest.fixture
    def agent(self) -> FakeAgent:
        return SlowToClean()

    async def test_stop_returns_when_cancelled_handlers_have_cleaned_up(
        self, server: RpcServer, stub: SandboxesAsyncStub, agent: SlowToClean, needs: Needs
    ) -> None:
        running = asyncio.ensure_future(stub.Pause(PAUSE, timeout=10))
        await agent.entered.wait()
        await server.stop(0)
        assert agent.cleaned
        assert outcome(needs, "CANCELLED") == 1
        with pytest.raises(grpc.aio.AioRpcError):
            await running


@pytest.mark.usefixtures("gate")
async def test_a_second_stop_does_not_wait(
    server: RpcServer, stub: SandboxesAsyncStub, agent: FakeAgent
) -> None:
    running = asyncio.ensure_future(stub.Pause(PAUSE, timeout=30))
    await agent.entered.wait()
    patient = asyncio.ensure_future(server.stop(3600))
    assert (await refusal(stub)).code() is grpc.StatusCode.UNAVAILABLE
    await server.stop(0)
    await patient
    with pytest.raises(grpc.aio.AioRpcError):
        await running
    assert agent.records["s1"].state is State.RUNNING


async def test_an_open_health_watch_does_not_hold_the_server(
    server: RpcServer, channel: grpc.aio.Channel
) -> None:
    method: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(
        "/grpc.health.v1.Health/Watch"
    )
    watch = aiter(method(b""))
    serving = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
    assert await anext(watch) == serving.SerializeToString()
    await server.stop(3600)
    with pytest.raises(grpc.aio.AioRpcError):
        [_ async for _ in watch]


async def test_bytes_that_are_no_message_are_refused(channel: grpc.aio.Channel) -> None:
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
        "/cubelet.services.cubebox.v1.CubeboxMgr/Update"
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"\xff\xff\xff", timeout=10)
    assert caught.value.code() is not grpc.StatusCode.OK
    assert CubeletError.__name__ not in (caught.value.details() or "")
