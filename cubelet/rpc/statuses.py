"""From a fault to a google.rpc.Status with its details, which both wires carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2  # type: ignore[import-untyped]

from cubelet.core.faults import Code, Fault
from cubelet.rpc.texts import wire_text

DOMAIN: Final = "cubelet"

#: When to try again, in whole seconds; as long as the agent itself would wait to look again.
_RETRY_DELAYS_S: Mapping[Code, int] = {
    Code.ABORTED: 2,
    Code.RESOURCE_EXHAUSTED: 1,
    Code.DEADLINE_EXCEEDED: 5,
    Code.UNAVAILABLE: 2,
}


def status_of(fault: Fault, *, request_id: str) -> Any:
    """The google.rpc.Status for a fault: code, message, ErrorInfo, and RetryInfo where it helps."""
    info = error_details_pb2.ErrorInfo(
        reason=fault.reason.value, domain=DOMAIN, metadata={"request_id": request_id}
    )
    details = [_packed(info)]
    if fault.retryable:
        delay = duration_pb2.Duration(seconds=_RETRY_DELAYS_S[fault.code])
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    code = code_pb2.Code.Value(fault.code.value)
    return status_pb2.Status(code=code, message=wire_text(fault.message), details=details)


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
