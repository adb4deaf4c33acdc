"""Why a call was refused, as clients learn it."""

from __future__ import annotations

from typing import Any

from google.rpc import error_details_pb2  # type: ignore[import-untyped]
from grpc_status import rpc_status


def reason_of(failed: Any) -> str:
    """The stable reason beside the code; `failed` is the exception that the call has raised."""
    status = rpc_status.from_call(failed)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return str(info.reason)
