"""From gRPC to the gate: the one interceptor, which every request of ours passes.

Health and reflection pass untouched: they must answer while the agent drains.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import grpc
import grpc.aio

from cubelet.core.faults import Fault
from cubelet.rpc.calls import CallInfo
from cubelet.rpc.gate import REQUEST_ID_KEY, Gate
from cubelet.rpc.statuses import status_of

OURS: Final = "/cubelet."
#: The trailing metadata in which gRPC carries a google.rpc.Status.
DETAILS_KEY: Final = "grpc-status-details-bin"

_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

Context = grpc.aio.ServicerContext[Any, Any]


class Interceptor(grpc.aio.ServerInterceptor):
    """Wraps unary handlers of ours."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Give the handler for a method, wrapped if it is one of ours."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or handler.unary_unary is None or not method.startswith(OURS):
            return handler

        async def answer(request: Any, context: Context) -> Any:
            call = self._gate.called(method, _request_id(context))
            reply = await self._gate.answer(call, partial(handler.unary_unary, request, context))
            if isinstance(reply, Fault):
                await _abort(context, reply, call)
            context.set_trailing_metadata(((REQUEST_ID_KEY, call.request_id),))
            return reply

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


async def _abort(context: Context, fault: Fault, call: CallInfo) -> None:
    status = status_of(fault, request_id=call.request_id)
    trailing = (
        (REQUEST_ID_KEY, call.request_id),
        (DETAILS_KEY, status.SerializeToString()),
    )
    await context.abort(_CODES[status.code], status.message, trailing)


def _request_id(context: Context) -> str:
    """The caller's own id of the request, if it sent one."""
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_KEY and isinstance(value, str):
            return value
    return ""
