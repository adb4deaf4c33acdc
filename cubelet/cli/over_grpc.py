"""The way to an agent's gRPC door: on a unix socket that is named, or on TCP."""

from __future__ import annotations

from typing import cast

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from grpc_status import rpc_status

from cubelet.cli.failures import Refusal, failure_of, reason_in
from cubelet.cli.settings import Settings
from cubelet.cli.wire import reply_type

# An agent that starts just now is found at the next try, a tenth of a second later. A proxy from
# the environment has no business between two programs of one machine.
_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
]


class GrpcWire:
    """A Wire; its channel connects by itself."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        target = f"unix:{settings.place}" if settings.is_socket else settings.place
        self._channel = grpc.insecure_channel(target, options=_OPTIONS)

    def call(self, method: MethodDescriptor, request: Message) -> Message:
        """The method's reply; raises Failure."""
        send: grpc.UnaryUnaryMultiCallable[Message, Message] = self._channel.unary_unary(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=reply_type(method).FromString,
        )
        try:
            return send(request, timeout=self._settings.timeout_s)
        except grpc.RpcError as problem:
            call = cast("grpc.Call", problem)  # What a blocking call raises is both.
            raise failure_of(_refusal(call), self._settings) from problem

    def close(self) -> None:
        """Hang up."""
        self._channel.close()


def _refusal(call: grpc.Call) -> Refusal:
    code: int = call.code().value[0]
    return Refusal(code, call.details() or "", _reason(call))


def _reason(call: grpc.Call) -> str:
    try:
        status = rpc_status.from_call(call)
    except ValueError:  # Details that contradict the status: nobody of ours wrote them.
        return ""
    return "" if status is None else reason_in(status.details)
