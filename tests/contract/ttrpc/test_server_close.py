"""How our server ends: the rows "graceful shutdown" and "close"."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from shimclient import Server
from shimclient.listen import bind_unix
from tests.contract.ttrpc.peers import Echo, RawPeer, echo_server, is_there, raw_client

HELLO = StringValue(value="hello")


def closing(server: Server, grace_s: float) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(server.close(grace_s=grace_s))


async def test_row_graceful_the_socket_file_is_removed_and_nobody_can_connect(
    server: Server, path: Path
) -> None:
    await server.close(grace_s=1)
    assert not is_there(path)
    with pytest.raises(FileNotFoundError):
        await asyncio.open_unix_connection(str(path))


async def test_row_graceful_idle_connections_are_closed(server: Server, raw: RawPeer) -> None:
    await raw.request(1, "Echo", HELLO)
    assert await raw.code() == (1, 0)
    await server.close(grace_s=1000)
    assert await raw.receive() is None


async def test_row_graceful_a_busy_connection_takes_calls_until_it_is_idle(
    server: Server, raw: RawPeer, echo: Echo, path: Path
) -> None:
    await raw.request(1, "Hold", HELLO)
    await echo.held.get()
    task = closing(server, 1000)
    await raw.request(3, "Echo", HELLO)
    assert await raw.code() == (3, 0)
    assert not is_there(path)
    assert not task.done()
    echo.release.set()
    assert await raw.code() == (1, 0)
    assert await raw.receive() is None
    await task


async def test_row_graceful_the_rest_is_closed_after_the_grace_and_handlers_run_on(
    server: Server, raw: RawPeer, echo: Echo, advance: Callable[[float], None]
) -> None:
    await raw.request(1, "Hold", HELLO)
    await echo.held.get()
    task = closing(server, 30)
    await raw.request(3, "Echo", HELLO)
    assert await raw.code() == (3, 0)
    advance(31)
    await task
    assert await raw.receive() is None
    assert server.running == 1
    echo.release.set()
    assert await echo.ended.get() == "released"


async def test_row_close_without_grace_closes_all_connections(
    server: Server, raw: RawPeer, echo: Echo
) -> None:
    await raw.request(1, "Hold", HELLO)
    await echo.held.get()
    await server.close(grace_s=0)
    assert server.connections == 0
    assert await raw.receive() is None


async def test_a_connection_accepted_while_closing_is_closed_when_idle(
    server: Server, raw: RawPeer, echo: Echo, path: Path
) -> None:
    await raw.request(1, "Hold", HELLO)
    await echo.held.get()
    waiting = socket.socket(socket.AF_UNIX)
    waiting.connect(str(path))  # In the listener's queue, and perhaps accepted while it closes.
    task = closing(server, 1000)
    reader, writer = await asyncio.open_unix_connection(sock=waiting)
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()
    echo.release.set()
    await task


async def test_closing_twice_is_closing_once(server: Server) -> None:
    await server.close(grace_s=1)
    await server.close(grace_s=1)
    assert server.connections == 0


async def test_an_inherited_listener_is_served_and_its_file_removed(path: Path) -> None:
    server = echo_server(Echo())
    await server.serve_socket(bind_unix(str(path)))
    async with raw_client(path) as raw:
        await raw.request(1, "Echo", HELLO)
        assert await raw.code() == (1, 0)
    await server.close(grace_s=1)
    assert not is_there(path)


async def test_a_second_server_does_not_take_a_live_socket(server: Server, path: Path) -> None:
    second = echo_server(Echo())
    with pytest.raises(OSError, match="another server"):
        await second.serve_path(str(path))
    await second.close(grace_s=0)
    assert is_there(path)
    assert server.connections <= 1


async def test_a_listener_whose_file_is_gone_is_closed_all_the_same(path: Path) -> None:
    server = echo_server(Echo())
    listener = bind_unix(str(path))
    await asyncio.to_thread(path.unlink)
    await server.serve_socket(listener)
    await server.close(grace_s=1)
    assert listener.fileno() == -1
