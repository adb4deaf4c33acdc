"""The gate behind every door: each request of ours passes here, whichever wire it came by.

It refuses requests while the agent drains and beyond a limit, turns errors into faults, counts,
times and logs. It knows no wire: a door names the request, and says a fault in its own words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from cubelet.core.faults import Code, CubeletError, Fault, Reason
from cubelet.crashpoints import reach
from cubelet.engine.ports import Clock, Ids
from cubelet.obs.metrics import Metrics
from cubelet.rpc import incidents
from cubelet.rpc.calls import CURRENT, CallInfo, usable_id

#: Under this metadata key a caller may name its request, on every wire.
REQUEST_ID_KEY: Final = "x-request-id"
#: Requests that are answered at once, through all doors; more are refused.
REQUESTS_IN_FLIGHT_MAX: Final = 1024

_SHUTTING_DOWN = Fault(
    code=Code.UNAVAILABLE,
    reason=Reason.SHUTTING_DOWN,
    message="the agent is shutting down; try again when it is back",
)
_TOO_BUSY = Fault(
    code=Code.RESOURCE_EXHAUSTED,
    reason=Reason.TOO_BUSY,
    message=f"{REQUESTS_IN_FLIGHT_MAX} requests are being answered, the most that may; try again",
)
_log = structlog.get_logger("cubelet.rpc")

Work = Callable[[], Awaitable[Any]]


class Gate:
    """One for all doors. Keeps its own set of the tasks that answer requests."""

    def __init__(self, *, metrics: Metrics, clock: Clock, ids: Ids) -> None:
        self._metrics = metrics
        self._clock = clock
        self._ids = ids
        self._tasks: set[asyncio.Task[Any]] = set()
        self.draining = False
        metrics.rpc_in_flight.set_function(lambda: len(self._tasks))

    def called(self, method: str, request_id: str) -> CallInfo:
        """What is known of a request: its full method name, and the caller's id if it is usable."""
        name = request_id if usable_id(request_id) else ""
        return CallInfo(method=method, ids=self._ids, name=name)

    async def answer(self, call: CallInfo, work: Work) -> Any:
        """The reply of `work`, or the Fault that it ended with. Raises CancelledError only."""
        self._track()
        CURRENT.set(call)
        started_s = self._clock.now().mono_s
        try:
            return await self._attempt(call, work)
        except asyncio.CancelledError:
            # The caller gave up. What it asked for goes on in the sandbox's worker.
            call.outcome = "CANCELLED"
            raise
        finally:
            took_s = self._clock.now().mono_s - started_s
            # Once the reply is on its way: counting and logging must not make anybody wait.
            asyncio.get_running_loop().call_soon(self._record, call, took_s)

    async def idle(self, timeout_s: float) -> bool:
        """Wait until no request is being answered; False if some still are after timeout_s."""
        if not self._tasks:
            return True
        _, pending = await asyncio.wait(set(self._tasks), timeout=timeout_s)
        return not pending

    async def _attempt(self, call: CallInfo, work: Work) -> Any:
        try:
            fault = self._refusal()
            if fault is None:
                reach("rpc.request.admitted")
                answer = await work()
                reach("rpc.answer.ready")
                return answer
        except CubeletError as failed:
            fault = failed.fault
        except Exception as failed:  # noqa: BLE001 - the last door: nothing may leak past it.
            fault = incidents.fault_of(incidents.report(failed, self._ids))
        reach("rpc.refusal.ready")
        call.outcome, call.message = fault.reason.value, fault.message
        return fault

    def _refusal(self) -> Fault | None:
        if self.draining:
            return _SHUTTING_DOWN
        return _TOO_BUSY if len(self._tasks) > REQUESTS_IN_FLIGHT_MAX else None

    def _track(self) -> None:
        """Remember the task to its very end, when its door has sent what it returns."""
        task = asyncio.current_task()
        if task is not None and task not in self._tasks:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _record(self, call: CallInfo, seconds: float) -> None:
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
