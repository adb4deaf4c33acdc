"""Our server against raw frames: each test is a row of how Go's ttrpc servers behave."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from shimclient import Server, StatusError
from shimclient.api.ttrpc_pb2 import Request, Response
from shimclient.wire import MESSAGE_BYTES_MAX, Frame, encode
from tests.contract.ttrpc.peers import (
    Echo,
    RawPeer,
    echo_server,
    oversize,
    raw_client,
    request_frame,
)

HELLO = StringValue(value="hello")


async def assert_lives(raw: RawPeer, stream_id: int) -> None:
    """The connection still serves, and has said nothing since the last answer that was read."""
    await raw.request(stream_id, "Echo", HELLO)
    frame = await raw.receive()
    assert frame is not None
    assert frame.stream_id == stream_id
    assert StringValue.FromString(Response.FromString(frame.data).payload) == HELLO


async def test_row_requests_on_one_connection_run_at_once(raw: RawPeer, echo: Echo) -> None:
    await raw.request(1, "Hold", HELLO)
    await echo.held.get()
    await raw.request(3, "Echo", HELLO)
    assert await raw.code() == (3, 0)
    echo.release.set()
    assert await raw.code() == (1, 0)


async def test_row_an_empty_good_reply_is_a_frame_of_length_0(raw: RawPeer) -> None:
    await raw.request(1, "Echo")
    assert await raw.receive() == Frame(1, 2, 0, b"")


async def test_row_unknown_service(raw: RawPeer) -> None:
    data = Request(service="no.Such", method="Echo").SerializeToString()
    await raw.send(Frame(1, 1, 0, data))
    assert await raw.status() == (1, 12, "service no.Such")


async def test_row_an_empty_request_asks_for_the_service_without_a_name(raw: RawPeer) -> None:
    await raw.send(Frame(1, 1))
    assert await raw.status() == (1, 12, "service ")


async def test_row_unknown_method(raw: RawPeer) -> None:
    await raw.request(1, "Nope")
    assert await raw.status() == (1, 12, "method Nope")


async def test_row_a_name_of_any_length_is_answered(raw: RawPeer) -> None:
    await raw.request(1, "N" * (MESSAGE_BYTES_MAX - 100))
    stream_id, code, text = await raw.status()
    assert (stream_id, code) == (1, 12)
    assert text.startswith("method NNN")


@pytest.mark.parametrize("stream_id", [0, 2, 0xFFFFFFFE])
async def test_row_even_stream_id(raw: RawPeer, stream_id: int) -> None:
    await raw.request(stream_id, "Echo", HELLO)
    assert await raw.code() == (stream_id, 3)
    await assert_lives(raw, 1)


@pytest.mark.parametrize("second", [5, 3])
async def test_row_id_reused_or_lower(raw: RawPeer, server: Server, second: int) -> None:
    await assert_lives(raw, 5)
    await raw.request(second, "Echo", HELLO)
    stream_id, code, text = await raw.status()
    assert (stream_id, code) == (second, 3)
    assert "cannot be re-used and must increment" in text
    await assert_lives(raw, 7)
    assert server.counters.faults == 1


async def test_row_id_reused_while_in_flight_is_answered_once(
    raw: RawPeer, server: Server, echo: Echo
) -> None:
    await raw.request(1, "Hold", HELLO)
    await echo.held.get()
    await raw.request(1, "Echo", HELLO)
    assert await raw.code() == (1, 3)
    echo.release.set()
    assert await echo.ended.get() == "released"
    await assert_lives(raw, 3)
    assert server.counters.dropped_replies == 1


async def test_row_data_that_is_no_request(raw: RawPeer) -> None:
    await raw.send(Frame(1, 1, 0, b"\xff\xff"))
    assert await raw.code() == (1, 3)
    await assert_lives(raw, 3)


async def test_row_payload_that_does_not_decode(raw: RawPeer) -> None:
    await raw.request(1, "Echo", b"\x0a\xff")
    assert await raw.code() == (1, 13)
    await assert_lives(raw, 3)


@pytest.mark.parametrize("kind", [0, 2, 4, 255])
async def test_row_unknown_frame_type(raw: RawPeer, server: Server, kind: int) -> None:
    await raw.send(Frame(1, kind, 0, b"whatever"))
    await assert_lives(raw, 1)
    assert server.counters.skipped == 1


async def test_row_data_for_a_stream_that_is_not_open(raw: RawPeer) -> None:
    await raw.send(Frame(1, 3, 0, b"x"))
    stream_id, code, text = await raw.status()
    assert (stream_id, code) == (1, 3)
    assert "no longer active" in text
    await assert_lives(raw, 1)
    await raw.send(Frame(1, 3, 5))
    assert await raw.code() == (1, 3)


async def test_row_flag_1_to_a_unary_method(raw: RawPeer) -> None:
    await raw.request(1, "Echo", HELLO, flags=1)
    assert await raw.code() == (1, 0)


async def test_row_data_on_an_open_unary_stream(raw: RawPeer, server: Server, echo: Echo) -> None:
    await raw.request(1, "Hold", HELLO)
    await echo.held.get()
    await raw.send(Frame(1, 3, 0, b"x"), Frame(1, 3, 5))
    await raw.send_bytes(oversize(1, 3))
    await assert_lives(raw, 3)
    echo.release.set()
    assert await raw.code() == (1, 0)
    assert (server.counters.skipped, server.counters.oversized) == (2, 1)


async def test_row_flag_2_is_a_stream_and_refused_once(raw: RawPeer) -> None:
    await raw.request(1, "Echo", HELLO, flags=2)
    await raw.send(Frame(1, 3, 0, b"x"), Frame(1, 3, 5))
    assert await raw.code() == (1, 12)
    await assert_lives(raw, 3)


async def test_row_incoming_frame_over_4_mib_does_not_use_its_id_up(
    raw: RawPeer, server: Server
) -> None:
    await raw.send_bytes(oversize(1, 1))
    assert await raw.code() == (1, 8)
    await assert_lives(raw, 1)
    assert server.counters.oversized == 1


async def test_row_incoming_frame_over_4_mib_is_answered_before_its_body(raw: RawPeer) -> None:
    await raw.send_bytes(oversize(7, 1)[:10])
    assert await raw.code() == (7, 8)


async def test_row_a_frame_of_4_mib_is_served(raw: RawPeer) -> None:
    frame = request_frame(1, "Echo", StringValue(value="x" * (MESSAGE_BYTES_MAX - 100)))
    pad = MESSAGE_BYTES_MAX - len(frame.data)
    frame = request_frame(1, "Echo", StringValue(value="x" * (MESSAGE_BYTES_MAX - 100 + pad)))
    assert len(frame.data) == MESSAGE_BYTES_MAX
    await raw.send(frame)
    assert await raw.code() == (1, 0)


async def test_row_own_reply_over_4_mib_is_an_error_of_that_call_alone(
    raw: RawPeer, server: Server
) -> None:
    await raw.request(1, "Big")
    assert await raw.code() == (1, 8)
    await assert_lives(raw, 3)
    assert server.counters.oversized_replies == 1


async def test_row_handler_returns_neither_value_nor_error(raw: RawPeer) -> None:
    await raw.request(1, "Nothing")
    stream_id, code, text = await raw.status()
    assert (stream_id, code) == (1, 2)
    assert "NoneType" in text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StatusError(5, "not here"), (5, "not here")),
        (StatusError(0, "no success"), (2, "no success")),
        (StatusError(2**40, "no code"), (2, "no code")),
        (OSError("first line\nsecond line"), (2, "first line")),
        (FileNotFoundError("gone"), (2, "gone")),
        (ValueError(), (2, "ValueError")),
        (asyncio.CancelledError(), (1, "the handler was cancelled")),
    ],
    ids=["status", "status-0", "status-huge", "lines", "not-exist", "no-text", "cancelled"],
)
async def test_row_errors_of_the_language(
    raw: RawPeer, echo: Echo, error: BaseException, status: tuple[int, str]
) -> None:
    echo.error = error
    await raw.request(1, "Fail")
    assert await raw.status() == (1, *status)
    await assert_lives(raw, 3)


@pytest.mark.parametrize(
    ("nanos", "seconds"), [(0, None), (1_500_000_000, 1.5), (-5_000_000_000, -5.0)]
)
async def test_row_a_deadline_is_the_handler_s_and_nothing_answers_in_its_place(
    raw: RawPeer, echo: Echo, nanos: int, seconds: float | None
) -> None:
    data = Request(service="test.Echo", method="Hold", timeout_nano=nanos)
    data.metadata.add(key="A-Key", value="1")
    data.metadata.add(key="a-key", value="2")
    await raw.send(Frame(1, 1, 0, data.SerializeToString()))
    context = await echo.held.get()
    assert context.wire_timeout_s == seconds
    assert context.metadata == {"a-key": ["1", "2"]}
    assert (context.service, context.method, context.stream_id) == ("test.Echo", "Hold", 1)
    await assert_lives(raw, 3)
    echo.release.set()
    assert await raw.code() == (1, 0)


@pytest.mark.parametrize("half", [True, False], ids=["half-closes", "closes"])
async def test_row_client_goes_and_its_handler_runs_on(
    raw: RawPeer, server: Server, echo: Echo, *, half: bool
) -> None:
    await raw.request(1, "Hold", HELLO)
    await echo.held.get()
    if half:
        raw.writer.write_eof()
        assert await raw.receive() is None
    else:
        [connection] = server._shared.connections
        await raw.close()
        await connection.gone.wait()
    assert (server.connections, server.running) == (0, 1)
    [handler] = server._shared.tasks
    echo.release.set()
    assert await echo.ended.get() == "released"
    await handler
    assert server.counters.dropped_replies == 1


async def test_row_peer_closes_in_the_middle_of_a_frame(
    raw: RawPeer, server: Server, path: Path
) -> None:
    await assert_lives(raw, 1)
    async with raw_client(path) as other:
        await other.send_bytes(encode(request_frame(1, "Echo", HELLO))[:-1])
        other.writer.write_eof()
        assert await other.reader.read() == b""
    await assert_lives(raw, 3)
    assert server.counters.served == 2


async def test_requests_over_the_in_flight_limit_are_refused_and_counted(path: Path) -> None:
    echo = Echo()
    server = echo_server(echo, inflight_max=1)
    await server.serve_path(str(path))
    async with raw_client(path) as raw:
        await raw.request(1, "Hold", HELLO)
        await echo.held.get()
        await raw.request(3, "Echo", HELLO)
        assert await raw.code() == (3, 8)
        echo.release.set()
        assert await raw.code() == (1, 0)
        await assert_lives(raw, 5)
    assert server.counters.refused == 1
    await server.close(grace_s=0)


async def test_connections_over_the_limit_are_closed_unread(path: Path) -> None:
    server = echo_server(Echo(), connections_max=1)
    await server.serve_path(str(path))
    async with raw_client(path) as first:
        await assert_lives(first, 1)
        async with raw_client(path) as second:
            assert await second.receive() is None
        await assert_lives(first, 3)
    assert server.counters.refused_connections == 1
    await server.close(grace_s=0)
