from __future__ import annotations

import asyncio
import os
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from cubelet.runtime.links import Link
from cubelet.runtime.places import Place
from shimclient import ConnectFailed
from shimclient.task import Task
from tests.support.polling import eventually


class Listener:
    """Takes connections and says nothing."""

    def __init__(self, folder: Path) -> None:
        self.address = f"unix://{folder}/shim.sock"
        self.connections: list[StreamWriter] = []

    async def take(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.connections.append(writer)
        await reader.read()
        writer.close()

    async def number(self, expected: int) -> None:
        await eventually(
            lambda: len(self.connections) == expected, what=f"{expected} connections were taken"
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Listener]:
    listener = Listener(tmp_path)
    server = await asyncio.start_unix_server(listener.take, tmp_path / "shim.sock")
    yield listener
    server.close()
    for writer in listener.connections:
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def link(place: Place) -> AsyncIterator[Link]:
    link = Link("sb", place)
    yield link
    await link.close()


async def ask(link: Link, listener: Listener) -> Task:
    return await link.task(listener.address, 2)


async def test_many_who_ask_at_once_share_one_connection(link: Link, listener: Listener) -> None:
    tasks = await asyncio.gather(*(ask(link, listener) for _ in range(10)))
    assert len(set(map(id, tasks))) == 1
    assert await ask(link, listener) is tasks[0]
    await listener.number(1)


async def test_a_lost_connection_is_dialled_anew_for_the_version_that_was_learnt(
    link: Link, listener: Listener
) -> None:
    first = await ask(link, listener)
    first.version = 3
    await listener.number(1)
    listener.connections[0].close()
    assert link._shim is not None
    await link._shim.client.wait_closed()
    second = await ask(link, listener)
    assert second is not first
    assert second.version == 3
    await listener.number(2)


async def test_where_nobody_listens_it_fails_and_later_works(
    link: Link, listener: Listener, tmp_path: Path
) -> None:
    with pytest.raises(ConnectFailed):
        await link.task(f"unix://{tmp_path}/nobody.sock", 2)
    await ask(link, listener)


async def test_an_agent_that_comes_after_reads_the_log_again(
    link: Link, listener: Listener, place: Place
) -> None:
    os.mkfifo(place.bundle / "log")
    await ask(link, listener)
    with capture_logs() as logs:
        log = os.open(place.bundle / "log", os.O_WRONLY | os.O_NONBLOCK)
        os.write(log, b"level=info quiet\nlevel=error loud\n")
        os.close(log)
        await eventually(lambda: len(logs) == 2, what="two lines are told")
    told = [(line["log_level"], line["line"], line["sandbox"]) for line in logs]
    assert told == [("debug", "level=info quiet", "sb"), ("warning", "level=error loud", "sb")]


async def test_a_log_that_is_no_pipe_does_not_cost_the_sandbox(
    link: Link, listener: Listener, place: Place
) -> None:
    (place.bundle / "log").touch()
    await ask(link, listener)
