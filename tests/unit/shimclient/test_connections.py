"""Both ends of a connection on a transport that is none: what is written when."""

from __future__ import annotations

import asyncio

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from shimclient import CallContext, Client, LocalDeadline, Method, Server
from shimclient.api.ttrpc_pb2 import Request, Response
from shimclient.client_connection import ClientConnection
from shimclient.outbox import JOINED_BYTES_MAX, Outbox
from shimclient.server_connection import UNREAD_BYTES_MAX, ServerConnection, Shared
from shimclient.wire import Decoder, Frame, encode
from tests.support.polling import eventually
from tests.unit.shimclient.fake_transport import FakeTransport


def connected() -> tuple[Client, ClientConnection, FakeTransport]:
    connection, transport = ClientConnection("unix:///s"), FakeTransport()
    connection.connection_made(transport)
    return Client(connection, pending_max=1024), connection, transport


def start(client: Client, timeout_s: float | None = None) -> asyncio.Task[StringValue]:
    return asyncio.get_running_loop().create_task(
        client.call("s", "M", StringValue(value="x"), StringValue, local_timeout_s=timeout_s)
    )


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def reply(stream_id: int) -> bytes:
    payload = StringValue(value="y").SerializeToString()
    return encode(Frame(stream_id, 2, 0, Response(payload=payload).SerializeToString()))


async def test_calls_of_one_turn_are_one_write_in_the_order_of_their_ids() -> None:
    """Only the first call of all goes at once: nothing tells that it will have company."""
    client, connection, transport = connected()
    calls = [start(client) for _ in range(50)]
    await turns()
    ids = [[item.stream_id for item in Decoder().feed(write)] for write in transport.writes]
    assert ids == [[1], list(range(3, 100, 2))]
    connection.data_received(b"".join(reply(number) for number in range(1, 100, 2)))
    assert {(await call).value for call in calls} == {"y"}


async def test_an_answer_in_the_same_turn_as_the_deadline_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, connection, _ = connected()
    call = start(client, 30)
    await turns()
    loop = asyncio.get_running_loop()
    now = loop.time()
    loop.call_soon(connection.data_received, reply(1))
    monkeypatch.setattr(loop, "time", lambda: now + 31)
    assert (await call).value == "y"


async def test_a_reply_to_a_call_cancelled_in_the_same_turn_is_late() -> None:
    client, connection, _ = connected()
    call = start(client)
    await turns()
    call.cancel()
    connection.data_received(reply(1))
    with pytest.raises(asyncio.CancelledError):
        await call
    assert client.late_replies == 1


async def test_a_cancelled_call_leaves_nothing_behind() -> None:
    client, connection, _ = connected()
    call = start(client)
    await turns()
    assert len(connection._table) == 1
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert len(connection._table) == 0


async def test_a_lost_connection_passes_over_calls_cancelled_in_the_same_turn() -> None:
    client, connection, transport = connected()
    call = start(client)
    await turns()
    call.cancel()
    transport.abort()
    connection.connection_lost(None)
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_a_paused_client_sends_nothing_until_it_may() -> None:
    client, connection, transport = connected()
    connection.pause_writing()
    call = start(client)
    await turns()
    assert transport.writes == []
    connection.resume_writing()
    await turns()
    assert len(transport.writes) == 1
    connection.data_received(reply(1))
    await call


async def test_a_lone_call_does_not_wait_for_company() -> None:
    client, connection, transport = connected()
    call = start(client)
    await turns(1)
    assert len(transport.writes) == 1
    connection.data_received(reply(1))
    await call


async def test_many_bytes_do_not_wait_for_the_end_of_the_turn() -> None:
    transport = FakeTransport()
    outbox = Outbox(transport)
    outbox.put(b"x")
    assert transport.writes == []
    outbox.put(bytes(JOINED_BYTES_MAX))
    assert [len(write) for write in transport.writes] == [JOINED_BYTES_MAX + 1]
    outbox.put(b"y")
    await turns()
    assert transport.writes[1:] == [b"y"]


async def test_nothing_is_written_to_a_closing_transport() -> None:
    transport = FakeTransport()
    outbox = Outbox(transport)
    outbox.put(b"x")
    transport.close()
    await turns()
    assert transport.writes == []


class Serving:
    """A server's connection whose one handler answers when it is released."""

    def __init__(self, *, delay_s: float = 0.0) -> None:
        self.release = asyncio.Event()
        self.shared = Shared({"s": {"M": Method(StringValue, self.handle)}}, 1024, 8, delay_s)
        self.connection = ServerConnection(self.shared)
        self.transport = FakeTransport()
        self.connection.connection_made(self.transport)

    async def handle(self, message: StringValue, _context: CallContext) -> StringValue:
        await self.release.wait()
        return message

    def request(self, stream_id: int) -> None:
        data = Request(service="s", method="M").SerializeToString()
        self.connection.data_received(encode(Frame(stream_id, 1, 0, data)))

    def answered(self) -> list[int]:
        return [item.stream_id for item in Decoder().feed(b"".join(self.transport.writes))]


async def test_a_server_reads_no_more_from_a_peer_that_does_not_read() -> None:
    serving = Serving()
    serving.connection.pause_writing()
    assert not serving.transport.reading
    serving.connection.resume_writing()
    assert serving.transport.reading


async def test_replies_of_one_turn_are_one_write() -> None:
    serving = Serving()
    serving.request(1)
    serving.request(3)
    await turns()
    serving.release.set()
    await turns(5)
    assert len(serving.transport.writes) == 1
    assert serving.answered() == [1, 3]


async def test_the_last_reply_is_written_before_a_graceful_close() -> None:
    serving = Serving()
    serving.request(1)
    serving.connection.close_when_idle()
    assert serving.transport.ended == ""
    serving.release.set()
    await turns(5)
    assert serving.answered() == [1]
    assert serving.transport.ended == "closed"


async def test_a_refusal_is_written_before_a_graceful_close() -> None:
    serving = Serving()
    serving.request(2)
    serving.connection.close_when_idle()
    assert serving.answered() == [2]
    assert serving.transport.ended == "closed"


async def test_a_connection_made_while_closing_is_closed() -> None:
    server = Server({})
    await server.close(grace_s=0)
    late, transport = ServerConnection(server._shared), FakeTransport()
    late.connection_made(transport)
    assert transport.ended == "closed"


async def test_half_a_connection_is_dropped_even_with_bytes_to_write() -> None:
    serving = Serving()
    serving.connection.eof_received()
    assert serving.transport.ended == "aborted"
    _, connection, transport = connected()
    connection.eof_received()
    assert transport.ended == "aborted"


async def test_handlers_are_held_while_they_run() -> None:
    serving = Serving()
    serving.request(1)
    assert len(serving.shared.tasks) == 1
    serving.release.set()
    await turns(5)
    assert not serving.shared.tasks


async def test_a_cancelled_handler_is_answered_and_frees_its_place() -> None:
    serving = Serving()
    serving.request(1)
    await turns()
    [task] = serving.shared.tasks
    task.cancel()
    await turns(5)
    assert serving.answered() == [1]
    serving.connection.close_when_idle()
    assert serving.transport.ended == "closed"


async def test_a_deadline_error_names_the_address() -> None:
    client, _, _ = connected()
    with pytest.raises(LocalDeadline, match="unix:///s"):
        await start(client, 0)


async def test_requests_that_may_wait_are_looked_at_later_and_in_order() -> None:
    serving = Serving(delay_s=0.05)
    serving.release.set()
    serving.request(1)
    serving.request(3)
    await turns(5)
    assert serving.answered() == []
    assert not serving.shared.tasks
    await eventually(lambda: bool(serving.transport.writes), what="both are answered")
    assert serving.answered() == [1, 3]
    assert serving.shared.counters.served == 2


async def test_many_bytes_that_may_wait_do_not() -> None:
    serving = Serving(delay_s=3600)
    serving.connection.data_received(encode(Frame(1, 9, 0, bytes(UNREAD_BYTES_MAX))))
    assert serving.shared.counters.skipped == 1
    serving.request(1)
    assert not serving.shared.tasks


@pytest.mark.parametrize("ending", ["eof", "lost", "closed"])
async def test_what_came_before_the_end_of_a_connection_is_still_looked_at(ending: str) -> None:
    serving = Serving(delay_s=3600)
    serving.request(1)
    if ending == "eof":
        serving.connection.eof_received()
    elif ending == "lost":
        serving.connection.connection_lost(None)
    else:
        serving.connection.close_when_idle()
    assert len(serving.shared.tasks) == 1
    serving.release.set()
    await turns(5)
    assert serving.shared.counters.served == 1
