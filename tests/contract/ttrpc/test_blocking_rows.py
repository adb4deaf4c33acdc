"""The blocking client, against our server in another thread and against peers that misbehave."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from google.protobuf.wrappers_pb2 import BytesValue, StringValue

import shimclient
from shimclient import (
    BlockingClient,
    CallContext,
    ConnectFailed,
    LocalDeadline,
    Method,
    NotConnected,
    NotFound,
    ReplyTooLarge,
    RequestTooLarge,
    Server,
    StatusError,
    TransportLost,
)
from shimclient.api.ttrpc_pb2 import Response
from shimclient.wire import MESSAGE_BYTES_MAX, Frame, FrameType, encode

T = TypeVar("T")


class Served:
    """A server on a loop of its own; `seen` has the context of every call."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: list[CallContext] = []
        self.silent = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = self._run(self._begin())

    async def _begin(self) -> Server:
        server = Server(
            {
                "s": {
                    "Echo": Method(StringValue, self._echo),
                    "Refuse": Method(StringValue, self._refuse),
                    "Hang": Method(StringValue, self._hang),
                }
            }
        )
        await server.serve_path(str(self.path))
        return server

    async def _echo(self, request: StringValue, context: CallContext) -> StringValue:
        self.seen.append(context)
        return request

    async def _refuse(self, request: StringValue, _: CallContext) -> StringValue:
        raise StatusError(5, request.value)

    async def _hang(self, request: StringValue, _: CallContext) -> StringValue:
        await asyncio.to_thread(self.silent.wait)
        return request

    def close(self) -> None:
        self.silent.set()
        self._run(self._server.close(grace_s=0))
        self._run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)


@pytest.fixture
def served(path: Path) -> Iterator[Served]:
    served = Served(path)
    yield served
    served.close()


@pytest.fixture
def client(served: Served) -> Iterator[BlockingClient]:
    with BlockingClient(f"unix://{served.path}") as client:
        yield client


def echo(client: BlockingClient, text: str, *, local_timeout_s: float | None = 20) -> str:
    request = StringValue(value=text)
    return client.call("s", "Echo", request, StringValue, local_timeout_s=local_timeout_s).value


def test_calls_follow_each_other_on_one_connection(client: BlockingClient, served: Served) -> None:
    assert [echo(client, text) for text in ("a", "b", "c" * 300_000)] == ["a", "b", "c" * 300_000]
    assert echo(client, "d", local_timeout_s=None) == "d"
    assert [context.stream_id for context in served.seen] == [1, 3, 5, 7]


def test_what_is_asked_for_goes_on_the_wire(client: BlockingClient, served: Served) -> None:
    client.call(
        *("s", "Echo", StringValue(), StringValue),
        local_timeout_s=20,
        wire_timeout_s=7,
        metadata=[("Key", "value")],
    )
    (context,) = served.seen
    assert (context.wire_timeout_s, context.metadata) == (7, {"key": ["value"]})


def test_a_refusal_leaves_the_connection_good(client: BlockingClient) -> None:
    with pytest.raises(NotFound, match=r"^no$"):
        client.call("s", "Refuse", StringValue(value="no"), StringValue, local_timeout_s=20)
    too_large = BytesValue(value=bytes(MESSAGE_BYTES_MAX))
    with pytest.raises(RequestTooLarge):
        client.call("s", "Echo", too_large, StringValue, local_timeout_s=20)
    assert echo(client, "still here") == "still here"


def test_a_call_that_is_given_up_ends_the_connection(client: BlockingClient) -> None:
    with pytest.raises(LocalDeadline, match=r"within 0\.05 s") as caught:
        client.call("s", "Hang", StringValue(), StringValue, local_timeout_s=0.05)
    assert caught.value.may_have_run
    assert client.closed
    with pytest.raises(NotConnected):
        echo(client, "too late")


@pytest.mark.parametrize("place", ["/nowhere/s", "tcp:1", ""])
def test_nobody_there(place: str) -> None:
    with pytest.raises(ConnectFailed):
        BlockingClient(place)


def answered_with(data: bytes, path: Path, use: Callable[[BlockingClient], None]) -> None:
    """Let `use` call a peer that answers whatever it gets with these bytes, and hangs up."""

    def peer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(data)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=peer)
        thread.start()
        with BlockingClient(str(path)) as client:
            use(client)
        thread.join()


@pytest.mark.parametrize("data", [b"", b"\0\0", encode(Frame(3, FrameType.RESPONSE))])
def test_a_connection_that_ends_without_the_answer(data: bytes, path: Path) -> None:
    def use(client: BlockingClient) -> None:
        with pytest.raises(TransportLost) as caught:
            echo(client, "x")
        assert caught.value.may_have_run
        assert client.closed

    answered_with(data, path, use)


def test_an_answer_over_the_limit_is_an_error_at_once(path: Path) -> None:
    header = (MESSAGE_BYTES_MAX + 1).to_bytes(4) + (1).to_bytes(4) + bytes([2, 0])

    def use(client: BlockingClient) -> None:
        with pytest.raises(ReplyTooLarge):
            echo(client, "x")

    answered_with(header, path, use)


def test_answers_to_others_are_passed_over(path: Path) -> None:
    mine = Response(payload=StringValue(value="mine").SerializeToString()).SerializeToString()
    frames = [Frame(7, FrameType.RESPONSE), Frame(1, FrameType.RESPONSE, 0, mine)]

    def use(client: BlockingClient) -> None:
        assert echo(client, "x") == "mine"

    answered_with(b"".join(map(encode, frames)), path, use)


def test_it_needs_no_asyncio() -> None:
    script = "import sys, shimclient; shimclient.BlockingClient; print('asyncio' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_the_package_gives_every_name_that_it_promises() -> None:
    assert {name for name in shimclient.__all__ if getattr(shimclient, name) is None} == set()
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        getattr(shimclient, "Not" + "hing")
