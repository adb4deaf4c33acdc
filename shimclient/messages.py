"""Between protobuf messages and the data of frames: Request and Response of ttrpc, no I/O.

For the client and the server of this package only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import DecodeError, Message

from shimclient.api.ttrpc_pb2 import KeyValue, Request, Response, Status
from shimclient.errors import (
    Code,
    ProtocolBroken,
    ReplyTooLarge,
    RequestTooLarge,
    ShimError,
    error_from_status,
)
from shimclient.wire import MESSAGE_BYTES_MAX, Frame, FrameType, Oversize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.any_pb2 import Any as AnyMessage

#: A status text is for people; longer ones are cut, so that an error always fits a frame.
STATUS_TEXT_MAX = 2048

#: What fits timeout_nano, an int64; some 290 years.
_WIRE_TIMEOUT_S_MAX = 9.2e9

M = TypeVar("M", bound=Message)


def encode_request(
    service: str,
    method: str,
    request: Message,
    *,
    wire_timeout_s: float | None = None,
    metadata: Sequence[tuple[str, str]] = (),
) -> bytes:
    """The data of a request's frame. Raises RequestTooLarge over the limit of a frame."""
    envelope = Request(service=service, method=method, payload=request.SerializeToString())
    if wire_timeout_s is not None:
        envelope.timeout_nano = timeout_nano(wire_timeout_s)
    if metadata:
        envelope.metadata.extend(KeyValue(key=key.lower(), value=value) for key, value in metadata)
    data = envelope.SerializeToString()
    if len(data) > MESSAGE_BYTES_MAX:
        raise RequestTooLarge(
            f"the request to {service}/{method} is {len(data)} bytes, over the limit of"
            f" {MESSAGE_BYTES_MAX}; it was not sent"
        )
    return data


def timeout_nano(timeout_s: float) -> int:
    """A time-out as it travels. Never 0, which would mean none: what is over by now is 1 ns."""
    return max(1, int(min(timeout_s, _WIRE_TIMEOUT_S_MAX) * 1e9))


def outcome_of(item: Frame | Oversize) -> bytes | ShimError:
    """What a frame means to the unary call that waits for it: a reply's payload, or an error."""
    if item.type != FrameType.RESPONSE:
        return ProtocolBroken(
            f"the peer sent a frame of type {item.type} where the response of a unary call was due"
        )
    if isinstance(item, Oversize):
        return ReplyTooLarge(
            f"the reply is {item.length} bytes, over the limit of {MESSAGE_BYTES_MAX};"
            " it was skipped"
        )
    try:
        response = Response.FromString(item.data)
    except DecodeError:
        return ProtocolBroken("the peer's response is no ttrpc Response")
    if response.status.code != Code.OK:
        status = response.status
        return error_from_status(status.code, status.message, tuple(status.details))
    return response.payload


def decode_reply(reply_type: type[M], payload: bytes) -> M:
    """The reply itself. Raises ProtocolBroken where the payload is no such message."""
    try:
        return reply_type.FromString(payload)
    except DecodeError:
        raise ProtocolBroken(f"the peer's reply is no {reply_type.DESCRIPTOR.full_name}") from None


def ok_response(reply: Message) -> bytes:
    """The data of a good response; an empty reply is no bytes at all. It may be over the limit."""
    return Response(payload=reply.SerializeToString()).SerializeToString()


def error_response(code: int, message: str, details: Sequence[AnyMessage] = ()) -> bytes:
    """The data of an error response. Without details it always fits a frame."""
    text = message[:STATUS_TEXT_MAX].encode(errors="replace").decode()
    status = Status(code=code, message=text, details=details)
    return Response(status=status).SerializeToString()
