"""From a fault to a gRPC status with google.rpc details."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from cubelet.core.faults import Code, Fault
from cubelet.rpc.texts import wire_text

DOMAIN = "cubelet"
DETAILS_KEY = "grpc-status-details-bin"

GRPC_CODES: Mapping[Code, grpc.StatusCode] = {
    Code.INVALID_ARGUMENT: grpc.StatusCode.INVALID_ARGUMENT,
    Code.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Code.ALREADY_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    Code.FAILED_PRECONDITION: grpc.StatusCode.FAILED_PRECONDITION,
    Code.ABORTED: grpc.StatusCode.ABORTED,
    Code.RESOURCE_EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Code.DEADLINE_EXCEEDED: grpc.StatusCode.DEADLINE_EXCEEDED,
    Code.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Code.INTERNAL: grpc.StatusCode.INTERNAL,
}

#: When to try again, in whole seconds; as long as the agent itself would wait to look again.
_RETRY_DELAYS_S: Mapping[Code, int] = {
    Code.ABORTED: 2,
    Code.RESOURCE_EXHAUSTED: 1,
    Code.DEADLINE_EXCEEDED: 5,
    Code.UNAVAILABLE: 2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WireStatus:
    """What a failed call ends with; `details_bin` is the value of the header DETAILS_KEY."""

    code: grpc.StatusCode
    message: str
    details_bin: bytes


def wire_status(fault: Fault, *, metadata: Mapping[str, str]) -> WireStatus:
    """The status for a fault; `metadata` goes into its ErrorInfo."""
    code = GRPC_CODES[fault.code]
    message = wire_text(fault.message)
    info = error_details_pb2.ErrorInfo(
        reason=fault.reason.value, domain=DOMAIN, metadata=dict(metadata)
    )
    details = [_packed(info)]
    if fault.retryable:
        delay = duration_pb2.Duration(seconds=_RETRY_DELAYS_S[fault.code])
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    status = status_pb2.Status(code=code.value[0], message=message, details=details)
    return WireStatus(code=code, message=message, details_bin=status.SerializeToString())


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
