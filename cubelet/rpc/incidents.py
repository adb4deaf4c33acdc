"""Bugs: the log gets everything, the caller a number to ask for."""

from __future__ import annotations

import structlog

from cubelet.core.faults import Code, Fault, Reason
from cubelet.engine.ports import Ids
from cubelet.rpc.calls import CURRENT

_log = structlog.get_logger("cubelet.rpc")


def report(failure: Exception, ids: Ids) -> str:
    """Log an exception that nobody expected, with its traceback, and give its incident id."""
    incident = ids.new_id()
    call = CURRENT.get()
    _log.error(
        "unexpected exception",
        incident=incident,
        method=call.method if call else "",
        request_id=call.request_id if call else "",
        exc_info=failure,
    )
    return incident


def fault_of(incident: str) -> Fault:
    """What a caller is told of an incident: nothing but its id."""
    return Fault(
        code=Code.INTERNAL,
        reason=Reason.BUG,
        message=f"internal error; the agent's log has it as incident {incident}",
    )
