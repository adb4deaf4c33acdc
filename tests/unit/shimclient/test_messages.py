from __future__ import annotations

import math

import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import BytesValue, StringValue

from shimclient.api.ttrpc_pb2 import Request, Response
from shimclient.errors import (
    Code,
    Exhausted,
    NotFound,
    ProtocolBroken,
    Refused,
    RemoteDeadline,
    ReplyTooLarge,
    RequestTooLarge,
    ShimError,
    Unimplemented,
)
from shimclient.messages import (
    STATUS_TEXT_MAX,
    decode_reply,
    encode_request,
    error_response,
    ok_response,
    outcome_of,
    timeout_nano,
)
from shimclient.wire import MESSAGE_BYTES_MAX, Frame, FrameType, Oversize


def outcome(data: bytes) -> bytes | ShimError:
    return outcome_of(Frame(1, FrameType.RESPONSE, 0, data))


def test_a_request_in_golden_bytes() -> None:
    data = encode_request(
        "s", "m", StringValue(value="x"), wire_timeout_s=3e-9, metadata=[("K", "v")]
    )
    assert data == bytes.fromhex("0a0173 12016d 1a03 0a0178 2003 2a06 0a016b 120176")


def test_no_time_out_and_no_metadata_are_no_bytes() -> None:
    request = Request.FromString(encode_request("s", "m", Empty()))
    assert request.timeout_nano == 0
    assert not request.metadata


@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [(1.5, 1_500_000_000), (0.0, 1), (-4.0, 1), (1e-12, 1), (math.inf, 9_200_000_000_000_000_000)],
)
def test_a_time_out_travels_and_is_never_zero_which_means_none(seconds: float, nanos: int) -> None:
    assert timeout_nano(seconds) == nanos
    assert Request(timeout_nano=timeout_nano(seconds)).timeout_nano == nanos


def test_the_limit_counts_the_whole_request() -> None:
    shell = len(encode_request("s", "m", BytesValue(value=b"x" * 4_000_000))) - 4_000_000
    fits = BytesValue(value=bytes(MESSAGE_BYTES_MAX - shell))
    assert len(encode_request("s", "m", fits)) == MESSAGE_BYTES_MAX
    with pytest.raises(RequestTooLarge, match=r"s/m is 4194305 bytes"):
        encode_request("s", "m", BytesValue(value=fits.value + b"x"))


def test_an_empty_good_reply_is_no_bytes() -> None:
    assert ok_response(Empty()) == b""
    assert outcome(b"") == b""


def test_code_0_is_success_as_an_absent_status_is() -> None:
    assert outcome(bytes.fromhex("0a02 0800 1201 70")) == b"p"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (2, Refused),
        (4, RemoteDeadline),
        (5, NotFound),
        (8, Exhausted),
        (12, Unimplemented),
        (99, Refused),
    ],
)
def test_a_status_is_an_error_of_its_kind(code: int, kind: type[ShimError]) -> None:
    error = outcome(error_response(code, "why"))
    assert type(error) is kind
    assert (error.code, error.message) == (code, "why")


def test_what_is_no_response_breaks_the_call() -> None:
    assert isinstance(outcome(b"\xff"), ProtocolBroken)
    assert isinstance(outcome_of(Frame(1, FrameType.DATA)), ProtocolBroken)
    assert isinstance(
        outcome_of(Oversize(1, FrameType.DATA, 0, MESSAGE_BYTES_MAX + 1)), ProtocolBroken
    )


def test_an_oversize_response_is_a_reply_too_large() -> None:
    assert isinstance(outcome_of(Oversize(1, FrameType.RESPONSE, 0, 5 << 20)), ReplyTooLarge)


def test_a_payload_of_another_shape_names_what_was_due() -> None:
    with pytest.raises(ProtocolBroken, match=r"google\.protobuf\.StringValue"):
        decode_reply(StringValue, b"\x0a\xff")


def test_an_error_text_is_cut_and_always_travels() -> None:
    response = Response.FromString(error_response(Code.UNKNOWN, "\udcff" + "x" * 10_000_000))
    assert len(response.status.message) == STATUS_TEXT_MAX
