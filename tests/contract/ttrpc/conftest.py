from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from shimclient import Client, Server
from tests.contract.ttrpc.peers import Echo, RawPeer, echo_server, raw_client, raw_server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest_asyncio.fixture
async def server(path: Path, echo: Echo) -> AsyncIterator[Server]:
    """Our server with the Echo service, listening at `path`."""
    server = echo_server(echo)
    await server.serve_path(str(path))
    yield server
    echo.release.set()
    await server.close(grace_s=0)


@pytest_asyncio.fixture
async def raw(server: Server, path: Path) -> AsyncIterator[RawPeer]:
    """A raw client of our server."""
    assert server.connections == 0
    async with raw_client(path) as peer:
        yield peer


@pytest_asyncio.fixture
async def pair(path: Path) -> AsyncIterator[tuple[Client, RawPeer]]:
    """Our client, and the raw server that it is connected to."""
    async with raw_server(path) as next_peer:
        client = await Client.connect(f"unix://{path}")
        yield client, await next_peer()
        await client.close()


@pytest.fixture
def advance(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets the loop's clock jump, so that deadlines pass without waiting for them."""
    offset_s = 0.0

    def jump(seconds: float) -> None:
        nonlocal offset_s
        loop = asyncio.get_running_loop()
        real = type(loop).time
        offset_s += seconds
        monkeypatch.setattr(loop, "time", lambda: real(loop) + offset_s)

    return jump
