"""The one interceptor: every request of ours passes here, and nothing else does.

It names the request, refuses it while the agent drains, turns errors into statuses, counts, times
and logs. Health and reflection pass untouched: they must answer while the agent drains.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import structlog

from cubelet.core.faults import Code, CubeletError, Fault, Reason
from cubelet.engine.ports import Clock, Ids
from cubelet.obs.metrics import Metrics
from cubelet.rpc import incidents
from cubelet.rpc.calls import CURRENT, CallInfo, usable_id
from cubelet.rpc.statuses import DETAILS_KEY, wire_status

OURS = "/cubelet."
REQUEST_ID_KEY = "x-request-id"

_SHUTTING_DOWN = Fault(
    code=Code.UNAVAILABLE,
    reason=Reason.SHUTTING_DOWN,
    message="the agent is shutting down; try again when it is back",
)
_log = structlog.get_logger("cubelet.rpc")

Method = Callable[[Any, Any], Awaitable[Any]]
Context = grpc.aio.ServicerContext[Any, Any]


class Gate(grpc.aio.ServerInterceptor):
    """Wraps unary handlers. Keeps its own set of the tasks that answer requests."""

    def __init__(self, *, metrics: Metrics, clock: Clock, ids: Ids) -> None:
        self._metrics = metrics
        self._clock = clock
        self._ids = ids
        self._tasks: set[asyncio.Task[Any]] = set()
        self.draining = False

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
            return await self._answer(method, handler.unary_unary, request, context)

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    async def idle(self, timeout_s: float) -> bool:
        """Wait until no request is being answered; False if some still are after timeout_s."""
        if not self._tasks:
            return True
        _, pending = await asyncio.wait(set(self._tasks), timeout=timeout_s)
        return not pending

    async def _answer(self, name: str, method: Method, request: Any, context: Context) -> Any:
        self._track()
        call = CallInfo(method=name, request_id=_request_id(context) or self._ids.new_id())
        CURRENT.set(call)
        started_s = self._clock.now().mono_s
        self._metrics.rpc_in_flight.inc()
        try:
            reply = await self._attempt(call, method, request, context)
        except asyncio.CancelledError:
            # The caller gave up. What it asked for goes on in the sandbox's worker.
            call.outcome = "CANCELLED"
            raise
        finally:
            took_s = self._clock.now().mono_s - started_s
            # Once the reply is on its way: counting and logging must not make anybody wait.
            asyncio.get_running_loop().call_soon(self._record, call, took_s)
        if isinstance(reply, Fault):
            await _abort(context, reply, call)
        context.set_trailing_metadata(((REQUEST_ID_KEY, call.request_id),))
        return reply

    async def _attempt(self, call: CallInfo, method: Method, request: Any, context: Context) -> Any:
        """The method's reply, or the fault it ended with."""
        try:
            if not self.draining:
                return await method(request, context)
            fault = _SHUTTING_DOWN
        except CubeletError as failed:
            fault = failed.fault
        except Exception as failed:  # noqa: BLE001 - the last door: nothing may leak past it.
            fault = incidents.fault_of(incidents.report(failed, self._ids))
        call.outcome, call.message = fault.reason.value, fault.message
        return fault

    def _track(self) -> None:
        """Remember the task to its very end, when gRPC has sent what it returns."""
        task = asyncio.current_task()
        if task is not None and task not in self._tasks:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _record(self, call: CallInfo, seconds: float) -> None:
        self._metrics.rpc_in_flight.dec()
        self._metrics.rpc_requests.labels(call.method, call.outcome).inc()
        self._metrics.rpc_seconds.labels(call.method).observe(seconds)
        _log.info(
            "request",
            method=call.method,
            request_id=call.request_id,
            outcome=call.outcome,
            message=call.message,
            duration_s=round(seconds, 6),
        )


async def _abort(context: Context, fault: Fault, call: CallInfo) -> None:
    status = wire_status(fault, metadata={"request_id": call.request_id})
    trailing = ((REQUEST_ID_KEY, call.request_id), (DETAILS_KEY, status.details_bin))
    await context.abort(status.code, status.message, trailing)


def _request_id(context: Context) -> str:
    """The caller's own id of the request, if it sent a usable one."""
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_KEY and isinstance(value, str):
            return value if usable_id(value) else ""
    return ""
