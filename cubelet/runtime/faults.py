"""What a shim's errors mean to the core: which fault, and whether the call can still happen."""

from __future__ import annotations

from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.model import Call
from cubelet.engine.ports import CallFailed
from shimclient import (
    BootstrapError,
    Exhausted,
    LocalDeadline,
    LocalLimit,
    RequestTooLarge,
    ShimError,
)

_TEXT_CHARS_MAX = 500


def call_failed(error: ShimError, doing: str) -> CallFailed:
    """The failure of a call to a shim. Decided by the error's kind alone, never by its text."""
    code, reason = _meaning(error)
    over = error.answered or not error.may_have_run
    return failed(code, reason, f"{doing}: {one_line(str(error))}", over=over)


def not_started(error: BootstrapError | OSError, doing: str) -> CallFailed:
    """The failure to lay down files, or to start a shim beside them."""
    text = f"{doing}: {one_line(str(error))}"
    return failed(Code.UNAVAILABLE, Reason.RUNTIME_UNREACHABLE, text)


def failed(code: Code, reason: Reason, message: str, *, over: bool = True) -> CallFailed:
    """A CallFailed in one line; `over` says that nothing of the call can still happen."""
    fault = Fault(code=code, reason=reason, message=message)
    return CallFailed(fault, call=Call.ANSWERED if over else Call.LOST)


def _meaning(error: ShimError) -> tuple[Code, Reason]:
    match error:
        case LocalLimit():
            return Code.RESOURCE_EXHAUSTED, Reason.TOO_BUSY
        case LocalDeadline():
            return Code.DEADLINE_EXCEEDED, Reason.RUNTIME_DEADLINE
        case Exhausted() | RequestTooLarge():
            return Code.RESOURCE_EXHAUSTED, Reason.RUNTIME_REFUSED
        case ShimError(answered=True):
            return Code.ABORTED, Reason.RUNTIME_REFUSED
        case ShimError(may_have_run=False):
            return Code.UNAVAILABLE, Reason.RUNTIME_UNREACHABLE
        case _:
            return Code.UNAVAILABLE, Reason.RUNTIME_LOST


def one_line(text: str) -> str:
    """What a shim said, fit for one line of a message: bounded, without control characters."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return plain if len(plain) <= _TEXT_CHARS_MAX else f"{plain[:_TEXT_CHARS_MAX]}... (cut)"
