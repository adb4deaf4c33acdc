"""The local door: what gRPC's says, said over ttrpc, by the same handlers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2  # type: ignore[import-untyped]
from grpc_status import rpc_status

from cubelet.api.v1 import node_pb2
from cubelet.api.v1 import sandboxes_pb2 as pb
from cubelet.api.v1.sandboxes_pb2_grpc import SandboxesStub
from cubelet.core.faults import Code, CubeletError, Reason, error
from cubelet.core.model import Record, State
from cubelet.rpc.gate import REQUEST_ID_KEY, REQUESTS_IN_FLIGHT_MAX
from cubelet.rpc.server import RpcServer
from cubelet.rpc.services import Needs, native
from cubelet.rpc.sockets import Listen
from shimclient import Client, LocalDeadline, RequestTooLarge, StatusError, TransportLost
from shimclient.api.ttrpc_pb2 import Request
from shimclient.wire import MESSAGE_BYTES_MAX, Flag, Frame, FrameType
from tests.contract.ttrpc.peers import raw_client
from tests.support.polling import eventually
from tests.unit.rpc.fakes import FakeAgent

SANDBOXES = "cubelet.api.v1.Sandboxes"
PAUSE = pb.PauseRequest(id="s1")


@pytest.fixture
async def local(server: RpcServer, listen: Listen) -> AsyncIterator[Client]:
    assert server.tcp_port
    client = await Client.connect(str(listen.local_path))
    yield client
    await client.close()


@pytest.fixture
async def gate(agent: FakeAgent) -> AsyncIterator[asyncio.Event]:
    """Pause waits until this is set."""
    agent.add("s1")
    agent.gates["pause"] = asyncio.Event()
    yield agent.gates["pause"]
    agent.gates["pause"].set()


def pausing(
    client: Client, *, wire_timeout_s: float | None = None
) -> asyncio.Task[pb.PauseResponse]:
    call = client.call(
        *(SANDBOXES, "Pause", PAUSE, pb.PauseResponse),
        local_timeout_s=20,
        wire_timeout_s=wire_timeout_s,
    )
    return asyncio.get_running_loop().create_task(call)


async def refusal(client: Client, **metadata: str) -> StatusError:
    with pytest.raises(StatusError) as caught:
        await client.call(
            *(SANDBOXES, "Get", pb.GetRequest(id="s1"), pb.GetResponse),
            local_timeout_s=20,
            metadata=[(REQUEST_ID_KEY, metadata.get("request_id", ""))],
        )
    return caught.value


def info_of(failed: StatusError) -> error_details_pb2.ErrorInfo:
    info = error_details_pb2.ErrorInfo()
    assert failed.details[0].Unpack(info)
    return info


def counted(needs: Needs, method: str, outcome: str) -> float | None:
    labels = {"method": f"/{SANDBOXES}/{method}", "outcome": outcome}
    return needs.metrics.registry.get_sample_value("cubelet_rpc_requests_total", labels)


METHODS: list[MethodDescriptor] = [
    method
    for file in (pb, node_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
async def test_every_method_of_the_native_api_is_at_both_doors(
    local: Client, channel: grpc.aio.Channel, method: MethodDescriptor
) -> None:
    """A unary one answers the same at both; a stream is gRPC's alone."""
    by_ttrpc = await asked_over_ttrpc(local, method)
    if method.client_streaming or method.server_streaming:
        assert by_ttrpc == (12, f"method {method.name}")
    else:
        assert by_ttrpc == await asked_over_grpc(channel, method)
        assert by_ttrpc != (12, f"method {method.name}")


Outcome = Message | tuple[int, str | None]


async def asked_over_ttrpc(client: Client, method: MethodDescriptor) -> Outcome:
    request, reply_type = GetMessageClass(method.input_type)(), GetMessageClass(method.output_type)
    service = method.containing_service.full_name
    try:
        return await client.call(service, method.name, request, reply_type, local_timeout_s=20)
    except StatusError as failed:
        return failed.code, failed.message


async def asked_over_grpc(channel: grpc.aio.Channel, method: MethodDescriptor) -> Outcome:
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
        f"/{method.containing_service.full_name}/{method.name}"
    )
    try:
        reply = await call(b"", timeout=20)
    except grpc.aio.AioRpcError as failed:
        return failed.code().value[0], failed.details()
    return GetMessageClass(method.output_type).FromString(reply)


def test_every_method_has_a_handler_of_its_own(needs: Needs) -> None:
    """What a servicer inherits from the generated code refuses every call."""
    for service in native(needs):
        generated = {
            name
            for base in type(service.handler).__mro__
            if base.__module__.endswith("_pb2_grpc")
            for name, value in vars(base).items()
            if getattr(type(service.handler), name) is value
        }
        assert generated & {method.name for method in service.descriptor.methods} == set()


async def test_what_one_door_does_the_other_shows(
    local: Client, channel: grpc.aio.Channel, agent: FakeAgent
) -> None:
    agent.add("s1")
    assert (await pausing(local)).sandbox.state == pb.STATE_PAUSED
    by_grpc = await SandboxesStub(channel).Get(pb.GetRequest(id="s1"), timeout=20)
    by_ttrpc = await local.call(
        SANDBOXES, "Get", pb.GetRequest(id="s1"), pb.GetResponse, local_timeout_s=20
    )
    assert by_ttrpc == by_grpc
    assert by_ttrpc.sandbox.state == pb.STATE_PAUSED


@pytest.mark.parametrize(
    "failure",
    [
        error(Code.NOT_FOUND, Reason.SANDBOX_NOT_FOUND, "no such sandbox: é"),
        error(Code.ABORTED, Reason.PAUSE_IN_PROGRESS, "later"),
        error(Code.UNAVAILABLE, Reason.STORE_FAILED, "x" * 5000),
    ],
)
async def test_a_refusal_is_the_same_status_at_both_doors(
    local: Client, channel: grpc.aio.Channel, agent: FakeAgent, failure: CubeletError
) -> None:
    agent.failures["resolve"] = failure
    by_ttrpc = await refusal(local, request_id="mine")
    metadata = ((REQUEST_ID_KEY, "mine"),)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await SandboxesStub(channel).Get(pb.GetRequest(id="s1"), timeout=20, metadata=metadata)
    by_grpc = rpc_status.from_call(caught.value)  # type: ignore[arg-type] # It works for aio's too.
    assert by_grpc is not None
    assert (by_ttrpc.code, by_ttrpc.message) == (by_grpc.code, by_grpc.message)
    assert list(by_ttrpc.details) == list(by_grpc.details)
    assert len(by_ttrpc.details) == 1 + failure.fault.retryable
    assert all(isinstance(detail, AnyMessage) for detail in by_ttrpc.details)
    assert info_of(by_ttrpc).metadata["request_id"] == "mine"


async def test_a_bug_is_an_incident_and_leaks_nothing(
    local: Client, agent: FakeAgent, needs: Needs
) -> None:
    agent.failures["resolve"] = RuntimeError("password")
    failed = await refusal(local)
    assert failed.code == 13
    assert "password" not in failed.message
    assert "incident" in failed.message
    assert info_of(failed).reason == "BUG"
    assert counted(needs, "Get", "BUG") == 1


async def test_a_caller_that_drops_stops_nothing(
    server: RpcServer, local: Client, agent: FakeAgent, gate: asyncio.Event, needs: Needs
) -> None:
    call = pausing(local)
    await agent.entered.wait()
    await local.close()
    with pytest.raises(TransportLost):
        await call
    gate.set()
    assert await server._gate.idle(10)
    assert agent.records["s1"].state is State.PAUSED
    assert counted(needs, "Pause", "OK") == 1


async def test_a_callers_deadline_ends_the_waiting_only(
    server: RpcServer, local: Client, agent: FakeAgent, gate: asyncio.Event, needs: Needs
) -> None:
    agent.add("s1")
    with pytest.raises(StatusError) as caught:
        await pausing(local, wire_timeout_s=0.01)
    assert (caught.value.code, caught.value.details) == (4, ())
    assert await server._gate.idle(10)
    assert counted(needs, "Pause", "CANCELLED") == 1
    gate.set()
    assert (await pausing(local, wire_timeout_s=20)).sandbox.state == pb.STATE_PAUSED


async def test_draining_refuses_the_new_and_keeps_the_old(
    server: RpcServer, local: Client, agent: FakeAgent, gate: asyncio.Event
) -> None:
    running = pausing(local)
    await agent.entered.wait()
    await server.drain()
    failed = await refusal(local)
    assert (failed.code, info_of(failed).reason) == (14, "SHUTTING_DOWN")
    assert len(failed.details) == 2
    gate.set()
    assert (await running).sandbox.state == pb.STATE_PAUSED


async def test_stop_lets_a_running_request_end_and_answer(
    server: RpcServer, local: Client, listen: Listen, agent: FakeAgent, gate: asyncio.Event
) -> None:
    running = pausing(local)
    await agent.entered.wait()
    stopping = asyncio.ensure_future(server.stop(3600))
    assert (await refusal(local)).code == 14
    assert not stopping.done()
    gate.set()
    assert (await running).sandbox.state == pb.STATE_PAUSED
    await stopping
    await local.wait_closed()
    assert not listen.local_path.exists()


@pytest.mark.usefixtures("gate")
async def test_a_stop_without_grace_gives_running_requests_up(
    server: RpcServer, local: Client, agent: FakeAgent, needs: Needs
) -> None:
    running = pausing(local)
    await agent.entered.wait()
    await server.stop(0)
    with pytest.raises(StatusError) as caught:
        await running
    assert caught.value.code == 1
    assert server._gate._tasks == set()
    assert counted(needs, "Pause", "CANCELLED") == 1
    assert agent.records["s1"].state is State.RUNNING


async def test_requests_at_both_doors_share_one_limit(
    server: RpcServer, local: Client, channel: grpc.aio.Channel, gate: asyncio.Event, needs: Needs
) -> None:
    by_ttrpc = [pausing(local) for _ in range(REQUESTS_IN_FLIGHT_MAX)]
    await eventually(lambda: len(server._gate._tasks) == len(by_ttrpc), what="all are answered")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await SandboxesStub(channel).Pause(PAUSE, timeout=20)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert counted(needs, "Pause", "TOO_BUSY") == 1
    gate.set()
    outcomes = await asyncio.gather(*by_ttrpc, return_exceptions=True)
    assert sum(isinstance(outcome, pb.PauseResponse) for outcome in outcomes) == 1


@pytest.mark.parametrize(
    ("service", "method"),
    [
        (SANDBOXES, "Fly"),
        ("cubelet.api.v1.Nothing", "Get"),
        ("cubelet.services.cubebox.v1.CubeboxMgr", "List"),
        ("grpc.health.v1.Health", "Check"),
        ("containerd.services.events.ttrpc.v1.Events", "Forward"),
    ],
)
async def test_what_is_not_of_the_native_api_is_unknown_here(
    local: Client, service: str, method: str
) -> None:
    with pytest.raises(StatusError) as caught:
        await local.call(service, method, PAUSE, pb.PauseResponse, local_timeout_s=20)
    assert caught.value.code == 12


async def test_a_stream_is_refused_and_the_connection_lives(
    server: RpcServer, listen: Listen
) -> None:
    assert server.tcp_port
    async with raw_client(listen.local_path) as raw:
        request = Request(service=SANDBOXES, method="Get").SerializeToString()
        await raw.send(Frame(1, FrameType.REQUEST, Flag.REMOTE_OPEN, request))
        assert (await raw.code()) == (1, 12)
        await raw.send(Frame(3, FrameType.REQUEST, 0, b"\xff\xff"))
        assert (await raw.code()) == (3, 3)


async def test_a_message_has_its_limit(local: Client) -> None:
    """Below a frame's 4 MiB it is read, and refused by our field limit."""
    for size, expected in (
        (MESSAGE_BYTES_MAX - 100, StatusError),
        (MESSAGE_BYTES_MAX, RequestTooLarge),
    ):
        request = pb.GetRequest(id="a" * size)
        with pytest.raises(expected) as caught:
            await local.call(SANDBOXES, "Get", request, pb.GetResponse, local_timeout_s=20)
        assert caught.value.code in (3, None)


async def test_our_own_waiting_ends_by_itself(local: Client, gate: asyncio.Event) -> None:
    assert not gate.is_set()
    with pytest.raises(LocalDeadline):
        await local.call(SANDBOXES, "Pause", PAUSE, pb.PauseResponse, local_timeout_s=0.01)


class SlowToClean(FakeAgent):
    """Its pause needs the loop a while to clean up when it is cancelled."""

    cleaned = False

    async def pause(self, sandbox_id: str, **options: Any) -> Record:
        self.entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(1000):
                await asyncio.sleep(0)
            self.cleaned = True
        raise AssertionError(sandbox_id, options)


class TestSlowToClean:
    @pytest.fixture
    def agent(self) -> FakeAgent:
        return SlowToClean()

    async def test_handlers_are_cancelled_once_and_may_clean_up(
        self, server: RpcServer, local: Client, agent: SlowToClean
    ) -> None:
        running = pausing(local)
        await agent.entered.wait()
        await asyncio.gather(server.stop(0), server.stop(0))
        assert agent.cleaned
        with pytest.raises(StatusError) as caught:
            await running
        assert caught.value.code == 1
