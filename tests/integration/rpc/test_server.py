"""Binding, modes, health, reflection, limits, a second server."""

from __future__ import annotations

import os
import socket
import stat
from dataclasses import replace

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from cubelet.api.v1 import node_pb2, node_pb2_grpc, sandboxes_pb2, sandboxes_pb2_grpc
from cubelet.rpc.server import RpcServer
from cubelet.rpc.services import Needs, compatible, native
from cubelet.rpc.sockets import CannotListen, Listen
from shimclient import Client
from tests.integration.rpc.conftest import OPTIONS, Health


async def version(channel: grpc.aio.Channel) -> node_pb2.VersionResponse:
    stub = node_pb2_grpc.NodeStub(channel)
    return await stub.Version(node_pb2.VersionRequest(), timeout=10)


async def test_both_addresses_lead_to_the_same_agent(
    server: RpcServer, channel: grpc.aio.Channel
) -> None:
    by_socket = await version(channel)
    target = f"127.0.0.1:{server.tcp_port}"
    async with grpc.aio.insecure_channel(target, options=OPTIONS) as tcp:
        assert await version(tcp) == by_socket
    assert by_socket.runtimes == ["fake", "other"]
    assert by_socket.sqlite == "3.99"
    assert by_socket.grpcio == grpc.__version__


@pytest.mark.usefixtures("server")
def test_modes_of_sockets_and_directory(listen: Listen) -> None:
    for path in (listen.socket_path, listen.local_path):
        found = path.stat()
        assert stat.S_ISSOCK(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == 0o660
    assert stat.S_IMODE(listen.socket_path.parent.stat().st_mode) & ~0o750 == 0


async def test_a_wide_open_umask_changes_nothing(needs: Needs, listen: Listen) -> None:
    before = os.umask(0)
    try:
        server = RpcServer(needs, listen)
        await server.start()
        for path in (listen.socket_path, listen.local_path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert stat.S_IMODE(listen.socket_path.parent.stat().st_mode) == 0o750
        await server.stop(0)
    finally:
        os.umask(before)


async def test_a_second_server_gets_no_share_of_the_port(
    server: RpcServer, needs: Needs, channel: grpc.aio.Channel, listen: Listen
) -> None:
    taken = f"127.0.0.1:{server.tcp_port}"
    second = RpcServer(needs, replace(listen, tcp=taken))
    with pytest.raises(CannotListen, match=f"cannot listen on {taken}"):
        await second.start()
    # It gave up before it touched the socket, which still leads to the first.
    assert (await version(channel)).sqlite == "3.99"


async def test_an_address_that_others_reach_binds_nothing(needs: Needs, listen: Listen) -> None:
    server = RpcServer(needs, replace(listen, tcp="0.0.0.0:0"))
    with pytest.raises(CannotListen, match="no authentication"):
        await server.start()
    assert not listen.socket_path.parent.exists()
    await server.stop(0)


async def test_a_dead_servers_socket_is_taken_over(needs: Needs, listen: Listen) -> None:
    listen.socket_path.parent.mkdir(mode=0o750)
    for path in (listen.socket_path, listen.local_path):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
    server = RpcServer(needs, listen)
    await server.start()
    target = f"unix:{listen.socket_path}"
    async with grpc.aio.insecure_channel(target, options=OPTIONS) as channel:
        assert (await version(channel)).sqlite == "3.99"
    client = await Client.connect(str(listen.local_path))
    await client.close()
    await server.stop(0)
    assert not listen.local_path.exists()


@pytest.mark.parametrize("in_the_way", ["file", "server"])
async def test_what_is_no_dead_socket_is_left_and_nothing_is_bound(
    needs: Needs, listen: Listen, in_the_way: str
) -> None:
    listen.local_path.parent.mkdir(mode=0o750)
    with socket.socket(socket.AF_UNIX) as living:
        if in_the_way == "server":
            living.bind(str(listen.local_path))
            living.listen()
        else:
            listen.local_path.write_text("mine")
        server = RpcServer(needs, listen)
        with pytest.raises(CannotListen, match=f"cannot listen on {listen.local_path}: "):
            await server.start()
        assert not listen.socket_path.exists()
        assert listen.local_path.exists()
        await server.stop(0)


async def test_health_of_each_service(check_health: Health, needs: Needs) -> None:
    services = (*native(needs), *compatible(needs))
    for name in ("", *(service.descriptor.full_name for service in services)):
        reply = await check_health(health_pb2.HealthCheckRequest(service=name), timeout=10)
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await check_health(health_pb2.HealthCheckRequest(service="no.such"), timeout=10)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_lists_what_is_served(channel: grpc.aio.Channel) -> None:
    method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    )
    ask = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
    (answer,) = [reply async for reply in method(iter([ask]), timeout=10)]
    reply = reflection_pb2.ServerReflectionResponse.FromString(answer)
    names = {service.name for service in reply.list_services_response.service}
    assert names == {
        "cubelet.api.v1.Sandboxes",
        "cubelet.api.v1.Node",
        "cubelet.services.cubebox.v1.CubeboxMgr",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


async def test_a_message_has_its_limit(channel: grpc.aio.Channel) -> None:
    """Over gRPC's own 4 MiB it is read, and refused by our field limit; over 16 MiB by gRPC."""
    stub = sandboxes_pb2_grpc.SandboxesStub(channel)
    for mib, code in (
        (5, grpc.StatusCode.INVALID_ARGUMENT),
        (17, grpc.StatusCode.RESOURCE_EXHAUSTED),
    ):
        request = sandboxes_pb2.GetRequest(id="a" * (mib << 20))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Get(request, timeout=10)
        assert caught.value.code() is code
