"""What a ttrpc server offers, and how one request becomes the data of its one response. No I/O."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError, Message

from shimclient.api.ttrpc_pb2 import Request
from shimclient.errors import Code, StatusError
from shimclient.messages import error_response, ok_response
from shimclient.wire import MESSAGE_BYTES_MAX, Flag

_log = logging.getLogger(__name__)

_INT32_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class CallContext:
    """What came with a request beside its payload.

    Metadata keys are in lower case. `wire_timeout_s` is what the client sent (None: nothing; below
    zero: over before it was sent). It counts from now, and keeping it is the handler's business.
    """

    metadata: Mapping[str, list[str]]
    wire_timeout_s: float | None
    service: str
    method: str
    stream_id: int


Handler = Callable[[Any, CallContext], Awaitable[Message]]


@dataclass(frozen=True)
class Method:
    """One unary method: what its payload is, and who answers.

    A handler raises StatusError to answer a status. Any other error is answered as code 2 with the
    first line of its text.
    """

    request_type: type[Message]
    handler: Handler


Services = Mapping[str, Mapping[str, Method]]


@dataclass(slots=True)
class Counters:
    """What a server has met so far, over all its connections."""

    served: int = 0  #: Requests whose handler has ended.
    refused: int = 0  #: Requests over the in-flight limit of their connection; code 8.
    refused_connections: int = 0  #: Connections over the limit; closed unread.
    oversized: int = 0  #: Frames over 4 MiB that were skipped; code 8.
    oversized_replies: int = 0  #: Own replies over 4 MiB; code 8 went out in their place.
    skipped: int = 0  #: Frames passed over without an answer: unknown types, data of unary streams.
    faults: int = 0  #: Frames against the protocol; code 3.
    dropped_replies: int = 0  #: Replies whose peer was gone, or whose stream had its answer.


def parse_request(data: bytes) -> Request:
    """The request in a frame's data. Raises StatusError 3 where there is none."""
    try:
        return Request.FromString(data)
    except DecodeError:
        raise StatusError(Code.INVALID_ARGUMENT, "the data is no ttrpc Request") from None


def find_method(services: Services, request: Request, flags: int) -> Method:
    """The method that is asked for. Raises StatusError 12, with the words of Go's ttrpc."""
    methods = services.get(request.service)
    if methods is None:
        raise StatusError(Code.UNIMPLEMENTED, f"service {request.service}")
    method = methods.get(request.method)
    if method is None:
        raise StatusError(Code.UNIMPLEMENTED, f"method {request.method}")
    if flags & Flag.REMOTE_OPEN:
        raise StatusError(Code.UNIMPLEMENTED, f"method {request.method} takes no stream")
    return method


def parse_payload(method: Method, request: Request) -> Message:
    """The method's own request. Raises StatusError 13 where the payload is none."""
    try:
        return method.request_type.FromString(request.payload)
    except DecodeError:
        name = method.request_type.DESCRIPTOR.full_name
        raise StatusError(Code.INTERNAL, f"the payload is no {name}") from None


def context_of(request: Request, stream_id: int) -> CallContext:
    """What the handler may want to know beside its payload."""
    metadata: dict[str, list[str]] = {}
    for pair in request.metadata:
        metadata.setdefault(pair.key.lower(), []).append(pair.value)
    timeout_s = request.timeout_nano / 1e9 if request.timeout_nano else None
    return CallContext(metadata, timeout_s, request.service, request.method, stream_id)


async def answer(method: Method, message: Message, context: CallContext) -> bytes:
    """Run the handler; the data of its response, good or bad. Only cancellation is raised."""
    try:
        return ok_response(_message(await method.handler(message, context)))
    except StatusError as error:
        return error_response(_error_code(error.code), error.message, error.details)
    except Exception as error:  # noqa: BLE001  # The server's supervisor: every error is an answer.
        _log.warning("%s/%s failed", context.service, context.method, exc_info=True)
        return error_response(Code.UNKNOWN, (str(error) or type(error).__name__).splitlines()[0])


def fitting(response: bytes, counters: Counters) -> bytes:
    """The response, or RESOURCE_EXHAUSTED in its place: Go's clients die of a frame over 4 MiB."""
    if len(response) <= MESSAGE_BYTES_MAX:
        return response
    counters.oversized_replies += 1
    return error_response(
        Code.RESOURCE_EXHAUSTED,
        f"the reply is {len(response)} bytes, over the limit of {MESSAGE_BYTES_MAX}",
    )


def _message(reply: object) -> Message:
    if not isinstance(reply, Message):
        raise TypeError(f"the handler answered {type(reply).__name__}, which is no message")
    return reply


def _error_code(code: int) -> int:
    """A code that travels and means an error, whatever the handler made up."""
    return code if code != Code.OK and -_INT32_MAX <= code <= _INT32_MAX else Code.UNKNOWN
