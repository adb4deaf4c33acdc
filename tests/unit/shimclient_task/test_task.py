"""The Task client against a scripted server: versions, values, and what goes on the wire."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message

from shimclient.api import task_pb2
from shimclient.client import Client
from shimclient.errors import LocalDeadline, Refused, StatusError, Unimplemented
from shimclient.server import CallContext, Method, Server
from shimclient.stamps import set_stamp
from shimclient.task import TASK_SERVICES, CreateRequest, Status, Task

Replies = Mapping[str, tuple[type[Message], Message | Exception]]
Calls = list[tuple[str, str, Message, float | None]]


@contextlib.asynccontextmanager
async def served(
    folder: Path, version: int, replies: Replies
) -> AsyncIterator[tuple[Client, Calls]]:
    """A server of one version whose methods answer what is given; what it was asked."""
    calls: Calls = []

    def method(request_type: type[Message], reply: Message | Exception) -> Method:
        async def handler(request: Message, call: CallContext) -> Message:
            calls.append((call.service, call.method, request, call.wire_timeout_s))
            if isinstance(reply, Exception):
                raise reply
            return reply

        return Method(request_type, handler)

    methods = {name: method(*reply) for name, reply in replies.items()}
    server = Server({TASK_SERVICES[version]: methods})
    path = str(folder / "task.sock")
    await server.serve_path(path)
    client = await Client.connect(path)
    yield client, calls
    await client.close()
    await server.close(grace_s=0)


EMPTY = task_pb2.Empty()


@pytest.mark.parametrize(("told", "serves"), [(2, 2), (2, 3), (3, 2), (3, 3)])
async def test_it_finds_the_version_and_remembers(tmp_path: Path, told: int, serves: int) -> None:
    replies = {"Pause": (task_pb2.PauseRequest, EMPTY)}
    async with served(tmp_path, serves, replies) as (client, calls):
        task = Task(client, version=told)
        await task.pause("a", local_timeout_s=1)
        assert task.version == serves
        await task.pause("a", local_timeout_s=1)
        assert [call[0] for call in calls] == [TASK_SERVICES[serves]] * 2
        with pytest.raises(Unimplemented, match="method Resume"):
            await task.resume("a", local_timeout_s=1)


async def test_a_version_that_is_known_is_the_only_one_asked(tmp_path: Path) -> None:
    async def done(_: Message, __: CallContext) -> Message:
        return EMPTY

    second = {"Pause": Method(task_pb2.PauseRequest, done)}
    third = {"Resume": Method(task_pb2.ResumeRequest, done)}
    server = Server({TASK_SERVICES[2]: second, TASK_SERVICES[3]: third})
    await server.serve_path(str(tmp_path / "s"))
    client = await Client.connect(str(tmp_path / "s"))
    task = Task(client)
    await task.pause("a", local_timeout_s=1)
    with pytest.raises(Unimplemented):
        await task.resume("a", local_timeout_s=1)
    await client.close()
    await server.close(grace_s=0)


async def test_a_refusal_shows_the_version_as_well_as_an_answer(tmp_path: Path) -> None:
    replies = {"Pause": (task_pb2.PauseRequest, StatusError(2, "not running"))}
    async with served(tmp_path, 3, replies) as (client, _):
        task = Task(client, version=2)
        with pytest.raises(Refused, match="not running"):
            await task.pause("a", local_timeout_s=1)
        assert task.version == 3


async def test_first_calls_side_by_side_all_find_the_version(tmp_path: Path) -> None:
    replies = {"Pause": (task_pb2.PauseRequest, EMPTY)}
    async with served(tmp_path, 3, replies) as (client, calls):
        task = Task(client, version=2)
        await asyncio.gather(*(task.pause(str(n), local_timeout_s=1) for n in range(10)))
        assert len(calls) == 10


async def test_a_method_that_neither_version_has_is_unimplemented(tmp_path: Path) -> None:
    async with served(tmp_path, 2, {}) as (client, _):
        with pytest.raises(Unimplemented):
            await Task(client).checkpoint("a", "/x", local_timeout_s=1)


async def test_the_year_one_is_no_exit(tmp_path: Path) -> None:
    running = task_pb2.StateResponse(id="a", pid=7, status=task_pb2.RUNNING)
    set_stamp(running.exited_at, None)
    assert running.exited_at.seconds == -62135596800
    async with served(tmp_path, 2, {"State": (task_pb2.StateRequest, running)}) as (client, _):
        state = await Task(client).state("a", local_timeout_s=1)
        assert (state.pid, state.status, state.exited_at_ns) == (7, Status.RUNNING, None)


async def test_a_stopped_task_has_its_exit(tmp_path: Path) -> None:
    reply = task_pb2.StateResponse(id="a", status=task_pb2.STOPPED, exit_status=137, terminal=True)
    set_stamp(reply.exited_at, 1_700_000_000_123_456_789)
    async with served(tmp_path, 2, {"State": (task_pb2.StateRequest, reply)}) as (client, _):
        state = await Task(client).state("a", exec_id="e", local_timeout_s=1)
        assert (state.exit_status, state.exited_at_ns) == (137, 1_700_000_000_123_456_789)
        assert state.terminal


async def test_a_status_from_the_future_is_unknown(tmp_path: Path) -> None:
    reply = task_pb2.StateResponse(status=task_pb2.Status.ValueType(77))
    async with served(tmp_path, 2, {"State": (task_pb2.StateRequest, reply)}) as (client, _):
        assert (await Task(client).state("a", local_timeout_s=1)).status is Status.UNKNOWN


async def test_a_timeout_goes_on_the_wire_only_where_it_is_given(tmp_path: Path) -> None:
    replies: Replies = {
        "Pause": (task_pb2.PauseRequest, EMPTY),
        "Kill": (task_pb2.KillRequest, EMPTY),
    }
    async with served(tmp_path, 2, replies) as (client, calls):
        task = Task(client)
        await task.pause("a", local_timeout_s=30)
        await task.kill("a", 9, local_timeout_s=30)
        await task.kill("a", 15, all_=True, local_timeout_s=30, wire_timeout_s=60)
        assert [call[3] for call in calls] == [None, None, 60]
        assert calls[2][2] == task_pb2.KillRequest(id="a", signal=15, all=True)


async def test_every_method_asks_and_answers_in_values(tmp_path: Path) -> None:
    exited = task_pb2.DeleteResponse(pid=7, exit_status=1)
    set_stamp(exited.exited_at, 5)
    waited = task_pb2.WaitResponse(exit_status=3)
    set_stamp(waited.exited_at, 6)
    stats = task_pb2.StatsResponse()
    stats.stats.type_url, stats.stats.value = "type.googleapis.com/x.Metrics", b"v"
    process = task_pb2.ProcessInfo(pid=7)
    replies: Replies = {
        "Create": (task_pb2.CreateRequest, task_pb2.CreateResponse(pid=7)),
        "Start": (task_pb2.StartRequest, task_pb2.StartResponse(pid=8)),
        "Delete": (task_pb2.DeleteRequest, exited),
        "Wait": (task_pb2.WaitRequest, waited),
        "Exec": (task_pb2.ExecRequest, EMPTY),
        "Pids": (task_pb2.PidsRequest, task_pb2.PidsResponse(processes=[process])),
        "Stats": (task_pb2.StatsRequest, stats),
        "Connect": (
            task_pb2.ConnectRequest,
            task_pb2.ConnectResponse(shim_pid=1, task_pid=2, version="v"),
        ),
        "Update": (task_pb2.UpdateRequest, EMPTY),
        "ResizePty": (task_pb2.ResizePtyRequest, EMPTY),
        "CloseIO": (task_pb2.CloseIORequest, EMPTY),
        "Resume": (task_pb2.ResumeRequest, EMPTY),
        "Shutdown": (task_pb2.ShutdownRequest, EMPTY),
    }
    async with served(tmp_path, 2, replies) as (client, calls):
        task = Task(client)
        assert await task.create(CreateRequest(id="a"), local_timeout_s=1) == 7
        assert await task.start("a", exec_id="e", local_timeout_s=1) == 8
        ended = await task.delete("a", local_timeout_s=1)
        assert (ended.pid, ended.exit_status, ended.exited_at_ns) == (7, 1, 5)
        assert (await task.wait("a")).exited_at_ns == 6
        await task.exec("a", "e", b"{}", stdio=("i", "o", "e"), local_timeout_s=1)
        assert await task.pids("a", local_timeout_s=1) == (7,)
        assert (await task.stats("a", local_timeout_s=1)).type_url == "x.Metrics"
        assert (await task.connect("a", local_timeout_s=1)).task_pid == 2
        await task.update("a", annotations={"k": "v"}, local_timeout_s=1)
        await task.resize_pty("a", width=80, height=24, local_timeout_s=1)
        await task.close_io("a", local_timeout_s=1)
        await task.resume("a", local_timeout_s=1)
        await task.shutdown("a", now=True, local_timeout_s=1)
        asked = {method: request for _, method, request, _ in calls}
    spec = AnyMessage(
        type_url="types.containerd.io/opencontainers/runtime-spec/1/Process", value=b"{}"
    )
    assert asked["Exec"] == task_pb2.ExecRequest(
        id="a", exec_id="e", stdin="i", stdout="o", stderr="e", spec=spec
    )
    assert asked["Update"] == task_pb2.UpdateRequest(id="a", annotations={"k": "v"})
    assert asked["ResizePty"] == task_pb2.ResizePtyRequest(id="a", width=80, height=24)
    assert asked["CloseIO"] == task_pb2.CloseIORequest(id="a", stdin=True)
    assert asked["Shutdown"] == task_pb2.ShutdownRequest(id="a", now=True)


async def test_a_connection_that_is_lost_is_a_shutdown(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def never(_: Message, __: CallContext) -> Message:
        asked.set()
        await asyncio.Event().wait()
        return EMPTY

    server = Server({TASK_SERVICES[2]: {"Shutdown": Method(task_pb2.ShutdownRequest, never)}})
    await server.serve_path(str(tmp_path / "s"))
    client = await Client.connect(str(tmp_path / "s"))
    with pytest.raises(LocalDeadline):
        await Task(client).shutdown("a", local_timeout_s=0.05)
    asked.clear()
    shutdown = asyncio.create_task(Task(client).shutdown("a", local_timeout_s=None))
    await asked.wait()
    await server.close(grace_s=0)
    await shutdown
    assert client.closed
    await client.close()
