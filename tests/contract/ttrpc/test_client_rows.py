"""Our client against raw frames: each test is a row of how Go's ttrpc clients behave, or better."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.wrappers_pb2 import BytesValue, StringValue

from shimclient import (
    Client,
    ConnectFailed,
    LocalDeadline,
    LocalLimit,
    NeverSent,
    NotConnected,
    NotFound,
    ProtocolBroken,
    ReplyTooLarge,
    RequestTooLarge,
    ShimError,
    TransportLost,
)
from shimclient.wire import MESSAGE_BYTES_MAX, Frame
from tests.contract.ttrpc.peers import RawPeer, oversize, raw_server

Pair = tuple[Client, RawPeer]
Call = asyncio.Task[StringValue]


def start(client: Client, text: str = "x", *, local_timeout_s: float | None = None) -> Call:
    return asyncio.get_running_loop().create_task(
        client.call("s", "M", StringValue(value=text), StringValue, local_timeout_s=local_timeout_s)
    )


async def assert_lives(client: Client, raw: RawPeer, stream_id: int) -> None:
    """The next thing on the wire is this call, under this id, and it is answered."""
    call = start(client, "alive")
    taken, request = await raw.take_request()
    assert taken == stream_id
    assert StringValue.FromString(request.payload).value == "alive"
    await raw.reply(taken, StringValue(value="yes"))
    assert (await call).value == "yes"


async def test_row_ids_are_odd_and_increase(pair: Pair) -> None:
    client, raw = pair
    for stream_id in (1, 3, 5):
        await assert_lives(client, raw, stream_id)


async def test_row_answers_may_come_in_any_order(pair: Pair) -> None:
    client, raw = pair
    calls = [start(client, str(number)) for number in range(20)]
    requests = [await raw.take_request() for _ in calls]
    assert [stream_id for stream_id, _ in requests] == list(range(1, 40, 2))
    for stream_id, request in reversed(requests):
        await raw.reply(stream_id, StringValue.FromString(request.payload))
    assert [(await call).value for call in calls] == [str(number) for number in range(20)]


async def test_row_nothing_goes_on_the_wire_but_what_is_asked_for(pair: Pair) -> None:
    client, raw = pair
    call = start(client, local_timeout_s=30)
    _, request = await raw.take_request()
    assert (request.service, request.method) == ("s", "M")
    assert request.timeout_nano == 0
    assert not request.metadata
    await raw.reply(1, StringValue())
    await call


async def test_row_the_wire_time_out_is_a_separate_knob(pair: Pair) -> None:
    client, raw = pair
    call = asyncio.create_task(
        client.call(
            "s",
            "M",
            StringValue(),
            StringValue,
            local_timeout_s=None,
            wire_timeout_s=60,
            metadata=[("Containerd-Namespace-TTRPC", "cubens"), ("a", "1"), ("a", "2")],
        )
    )
    _, request = await raw.take_request()
    assert request.timeout_nano == 60_000_000_000
    assert [(pair.key, pair.value) for pair in request.metadata] == [
        ("containerd-namespace-ttrpc", "cubens"),
        ("a", "1"),
        ("a", "2"),
    ]
    await raw.reply(1, StringValue())
    await call


async def test_row_own_deadline_forgets_the_stream_and_tells_the_server_nothing(
    pair: Pair, advance: Callable[[float], None]
) -> None:
    client, raw = pair
    call = start(client, local_timeout_s=30)
    await raw.take_request()
    advance(29)
    await asyncio.sleep(0)
    assert not call.done()
    advance(2)
    with pytest.raises(LocalDeadline, match="within 30 s") as error:
        await call
    assert error.value.may_have_run
    assert client.pending == 0
    await assert_lives(client, raw, 3)


async def test_row_late_reply_is_counted_and_dropped(
    pair: Pair, advance: Callable[[float], None]
) -> None:
    client, raw = pair
    call = start(client, local_timeout_s=30)
    await raw.take_request()
    advance(31)
    with pytest.raises(LocalDeadline):
        await call
    await raw.reply(1, StringValue(value="late"))
    await assert_lives(client, raw, 3)
    assert client.late_replies == 1


@pytest.mark.parametrize("stream_id", [0, 2, 77, 0xFFFFFFFF])
async def test_row_reply_for_an_unknown_stream_does_not_close_the_connection(
    pair: Pair, stream_id: int
) -> None:
    client, raw = pair
    await raw.reply(stream_id, StringValue())
    await assert_lives(client, raw, 1)
    assert client.late_replies == 1


async def test_row_a_second_reply_is_late(pair: Pair) -> None:
    client, raw = pair
    await assert_lives(client, raw, 1)
    await raw.reply(1, StringValue())
    await assert_lives(client, raw, 3)
    assert client.late_replies == 1


async def test_a_cancelled_caller_forgets_the_stream_only(pair: Pair) -> None:
    client, raw = pair
    call = start(client)
    await raw.take_request()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert client.pending == 0
    await raw.reply(1, StringValue())
    await assert_lives(client, raw, 3)
    assert client.late_replies == 1


@pytest.mark.parametrize("cut", [b"", b"\x00\x00\x00"], ids=["between-frames", "inside-a-frame"])
async def test_row_connection_lost_fails_every_pending_call(
    pair: Pair, path: Path, cut: bytes
) -> None:
    client, raw = pair
    calls = [start(client) for _ in range(3)]
    for _ in calls:
        await raw.take_request()
    await raw.send_bytes(cut)
    await raw.close()
    for call in calls:
        with pytest.raises(TransportLost, match=str(path)) as error:
            await call
        assert error.value.may_have_run
        assert ("in the middle of a frame" in error.value.message) == bool(cut)
    await client.wait_closed()
    assert client.closed


async def test_row_a_peer_that_half_closes_is_lost(pair: Pair) -> None:
    client, raw = pair
    call = start(client)
    await raw.take_request()
    raw.writer.write_eof()
    with pytest.raises(TransportLost):
        await call


async def test_row_a_reset_is_a_lost_connection_too(pair: Pair) -> None:
    client, raw = pair
    call = start(client)
    await raw.take_request()
    late = start(client)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await raw.close()  # With an unread request, so that the kernel resets.
    for lost in (call, late):
        with pytest.raises(TransportLost):
            await lost


async def test_row_a_lost_connection_is_dead_for_good(pair: Pair, path: Path) -> None:
    client, raw = pair
    await raw.close()
    await client.wait_closed()
    with pytest.raises(NotConnected, match=str(path)) as error:
        await start(client)
    assert not error.value.may_have_run


async def test_closing_fails_the_calls_that_wait(pair: Pair) -> None:
    client, raw = pair
    call = start(client)
    await raw.take_request()
    await client.close()
    with pytest.raises(TransportLost):
        await call
    await client.close()


async def test_row_request_over_4_mib_is_refused_locally_and_takes_no_id(pair: Pair) -> None:
    client, raw = pair
    big = BytesValue(value=bytes(MESSAGE_BYTES_MAX))
    with pytest.raises(RequestTooLarge) as error:
        await client.call("s", "M", big, StringValue, local_timeout_s=None)
    assert not error.value.may_have_run
    await assert_lives(client, raw, 1)


async def test_row_reply_over_4_mib_fails_that_one_call(pair: Pair) -> None:
    client, raw = pair
    big, other = start(client), start(client)
    await raw.take_request()
    await raw.take_request()
    await raw.send_bytes(oversize(1, 2))
    with pytest.raises(ReplyTooLarge):
        await big
    assert not other.done()
    await raw.reply(3, StringValue(value="fine"))
    assert (await other).value == "fine"


@pytest.mark.parametrize(
    "frame",
    [Frame(1, 3, 0, b"x"), Frame(1, 3, 5), Frame(1, 1), Frame(1, 9), Frame(1, 2, 0, b"\xff")],
    ids=["data", "data-close", "request", "unknown", "no-response"],
)
async def test_row_an_unexpected_frame_breaks_that_call_alone(pair: Pair, frame: Frame) -> None:
    client, raw = pair
    call = start(client)
    await raw.take_request()
    await raw.send(frame)
    with pytest.raises(ProtocolBroken):
        await call
    await assert_lives(client, raw, 3)


async def test_row_a_payload_of_another_shape_breaks_that_call_alone(pair: Pair) -> None:
    client, raw = pair
    call = start(client)
    await raw.take_request()
    await raw.reply(1, BytesValue(value=b"\xff"))
    with pytest.raises(ProtocolBroken, match="StringValue"):
        await call
    await assert_lives(client, raw, 3)


async def test_row_an_error_status_is_that_call_s_error(pair: Pair) -> None:
    client, raw = pair
    call = start(client)
    await raw.take_request()
    await raw.refuse(1, 5, "container not created")
    with pytest.raises(NotFound, match="container not created"):
        await call
    await assert_lives(client, raw, 3)


async def test_calls_over_the_limit_are_refused_unsent(path: Path) -> None:
    async with raw_server(path) as next_peer:
        client = await Client.connect(str(path), pending_max=1)
        raw = await next_peer()
        call = start(client)
        await raw.take_request()
        with pytest.raises(LocalLimit) as error:
            await start(client)
        assert not error.value.may_have_run
        await raw.reply(1, StringValue())
        await call
        await assert_lives(client, raw, 3)
        await client.close()


async def test_a_peer_that_does_not_read_holds_calls_back_unsent(
    pair: Pair, advance: Callable[[float], None]
) -> None:
    client, raw = pair
    big = "x" * (MESSAGE_BYTES_MAX - 100)
    first = start(client, big)
    await asyncio.sleep(0)
    held = start(client, "held", local_timeout_s=30)
    await asyncio.sleep(0)
    advance(31)
    with pytest.raises(NeverSent) as error:
        await held
    assert not error.value.may_have_run
    await raw.take_request()
    await raw.reply(1, StringValue())
    await first
    await assert_lives(client, raw, 3)


async def test_calls_held_back_fail_with_the_connection(pair: Pair) -> None:
    client, raw = pair
    sent = start(client, "x" * (MESSAGE_BYTES_MAX - 100))
    await asyncio.sleep(0)
    held = start(client, "held")
    await asyncio.sleep(0)
    await raw.close()
    with pytest.raises(TransportLost):
        await sent
    with pytest.raises(NotConnected):
        await held


@pytest.mark.parametrize("timeout_s", [0.0, -1.0])
async def test_a_deadline_that_is_over_sends_nothing(pair: Pair, timeout_s: float) -> None:
    client, raw = pair
    with pytest.raises(NeverSent):
        await start(client, local_timeout_s=timeout_s)
    await assert_lives(client, raw, 1)


async def test_nobody_listens(path: Path) -> None:
    with pytest.raises(ConnectFailed, match=str(path)):
        await Client.connect(f"unix://{path}")


async def test_a_dead_socket_file(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(ConnectFailed) as error:
        await Client.connect(str(path))
    assert not error.value.may_have_run


async def test_a_listener_whose_queue_is_full_is_no_connection(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as full, socket.socket(socket.AF_UNIX) as waiting:
        full.bind(str(path))
        full.listen(0)
        waiting.connect(str(path))
        with pytest.raises(ConnectFailed, match="wait to be accepted"):
            await Client.connect(str(path))


async def test_an_address_of_another_kind() -> None:
    with pytest.raises(ConnectFailed, match="unix socket"):
        await Client.connect("tcp://127.0.0.1:1")


def test_every_error_of_a_call_is_one_family() -> None:
    assert all(
        issubclass(kind, ShimError)
        for kind in (ConnectFailed, LocalDeadline, LocalLimit, ProtocolBroken, TransportLost)
    )
