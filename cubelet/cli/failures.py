"""From a failed call to a Failure, by the code of its status and the reason in its ErrorInfo.

Never by a text: where the status says too little, the operating system is asked.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import NamedTuple

from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import code_pb2, error_details_pb2  # type: ignore[import-untyped]

from cubelet.cli.failure import Exit, Failure
from cubelet.cli.settings import Settings

DOMAIN = "cubelet"

_EXITS: dict[int, Exit] = {
    code_pb2.INVALID_ARGUMENT: Exit.USAGE,
    code_pb2.NOT_FOUND: Exit.NOT_FOUND,
    code_pb2.DEADLINE_EXCEEDED: Exit.DEADLINE,
    code_pb2.UNAVAILABLE: Exit.UNAVAILABLE,
    code_pb2.RESOURCE_EXHAUSTED: Exit.UNAVAILABLE,
    code_pb2.ALREADY_EXISTS: Exit.CONFLICT,
    code_pb2.FAILED_PRECONDITION: Exit.CONFLICT,
    code_pb2.ABORTED: Exit.CONFLICT,
    code_pb2.PERMISSION_DENIED: Exit.PERMISSION,
    code_pb2.UNAUTHENTICATED: Exit.PERMISSION,
}

_LOOK = "cubecli explain"
_CATALOG = "cubecli snapshot ls"
#: The command that helps on, where there is one. The agent's message says the rest.
_NEXT = {
    "SANDBOX_NOT_FOUND": "cubecli ps --all",
    "UNKNOWN_RUNTIME": "cubecli version",
    "PAUSE_IN_PROGRESS": _LOOK,
    "RESUME_IN_PROGRESS": _LOOK,
    "CREATE_IN_PROGRESS": _LOOK,
    "RUNTIME_DEADLINE": _LOOK,
    "RUNTIME_LOST": _LOOK,
    "REPAIR_IN_PROGRESS": _LOOK,
    "SNAPSHOT_IN_PROGRESS": _LOOK,
    "STALE_BASE": _LOOK,
    "NOT_DIVERGED": _LOOK,
    "SNAPSHOT_EXISTS": _CATALOG,
    "SNAPSHOT_NOT_FOUND": _CATALOG,
}


class Refusal(NamedTuple):
    """How a call ended, on whichever wire; the reason is empty where the agent gave none."""

    code: int
    message: str
    reason: str


def failure_of(refusal: Refusal, settings: Settings) -> Failure:
    """What a failed call means for the person who made it."""
    code, message, reason = refusal
    if not reason and code == code_pb2.UNAVAILABLE:
        return unreachable(settings)
    if not reason and code == code_pb2.DEADLINE_EXCEEDED:
        return no_answer(settings)
    message = message or f"the agent answered {_name(code)}"
    following = _NEXT.get(reason)
    return Failure(
        f"{message} (try: {following})" if following else message, _EXITS.get(code, Exit.FAILED)
    )


def reason_in(details: Iterable[AnyMessage]) -> str:
    """The reason in a status's ErrorInfo, empty where an agent gave none."""
    info = error_details_pb2.ErrorInfo()
    for detail in details:
        if detail.Unpack(info) and info.domain == DOMAIN:
            return str(info.reason)
    return ""


def no_answer(settings: Settings) -> Failure:
    """The time that --timeout gives is over."""
    message = f"no answer within {settings.timeout_s:g} s; the agent goes on with it (try: {_LOOK})"
    return Failure(message, Exit.DEADLINE)


def _name(code: int) -> str:
    known: str | None = code_pb2.Code.DESCRIPTOR.values_by_number.get(code)
    return f"code {code}" if known is None else str(code_pb2.Code.Name(code))


def unreachable(settings: Settings) -> Failure:
    """Why nobody answers, asked of the operating system: a wire has only a text for it."""
    place = settings.place
    try:
        _connect(settings)
    except PermissionError:
        message = f"no permission to use {place}; use an account of its group, or sudo"
        return Failure(message, Exit.PERMISSION)
    except (FileNotFoundError, NotADirectoryError):
        message = f"no agent at {place}; start one with: cubelet serve, or name it with --address"
        return Failure(message, Exit.UNAVAILABLE)
    except ConnectionRefusedError:
        message = f"nobody listens at {place}; start the agent with: cubelet serve"
        return Failure(message, Exit.UNAVAILABLE)
    except (OSError, ValueError) as problem:
        message = f"cannot reach {place}: {problem}; check --address"
        return Failure(message, Exit.UNAVAILABLE)
    message = f"{place} does not answer as an agent does, or is stopping; see its log, try again"
    return Failure(message, Exit.UNAVAILABLE)


def _connect(settings: Settings) -> None:
    if settings.is_socket:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            probe.connect(settings.place)
    else:
        host, _, port = settings.place.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), timeout=1).close()
