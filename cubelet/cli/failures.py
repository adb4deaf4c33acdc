"""From a failed call to a Failure, by its gRPC status and the reason in its ErrorInfo.

Never by a text: where the status says too little, the operating system is asked.
"""

from __future__ import annotations

import socket
from typing import cast

import grpc
from google.rpc import error_details_pb2  # type: ignore[import-untyped]
from grpc_status import rpc_status

from cubelet.cli.failure import Exit, Failure
from cubelet.cli.settings import Settings

DOMAIN = "cubelet"


_EXITS = {
    grpc.StatusCode.INVALID_ARGUMENT: Exit.USAGE,
    grpc.StatusCode.NOT_FOUND: Exit.NOT_FOUND,
    grpc.StatusCode.DEADLINE_EXCEEDED: Exit.DEADLINE,
    grpc.StatusCode.UNAVAILABLE: Exit.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Exit.UNAVAILABLE,
    grpc.StatusCode.ALREADY_EXISTS: Exit.CONFLICT,
    grpc.StatusCode.FAILED_PRECONDITION: Exit.CONFLICT,
    grpc.StatusCode.ABORTED: Exit.CONFLICT,
    grpc.StatusCode.PERMISSION_DENIED: Exit.PERMISSION,
    grpc.StatusCode.UNAUTHENTICATED: Exit.PERMISSION,
}

_LOOK = "cubecli inspect"
#: The command that helps on, where there is one. The agent's message says the rest.
_NEXT = {
    "SANDBOX_NOT_FOUND": "cubecli ps --all",
    "UNKNOWN_RUNTIME": "cubecli version",
    "PAUSE_IN_PROGRESS": _LOOK,
    "RESUME_IN_PROGRESS": _LOOK,
    "CREATE_IN_PROGRESS": _LOOK,
    "RUNTIME_DEADLINE": _LOOK,
    "RUNTIME_LOST": _LOOK,
}


def failure_of(problem: grpc.RpcError, settings: Settings) -> Failure:
    """What a failed call means for the person who made it."""
    call = cast("grpc.Call", problem)  # What a blocking call raises is both.
    code = call.code()
    reason = _reason(call)
    if not reason and code is grpc.StatusCode.UNAVAILABLE:
        return unreachable(settings)
    if not reason and code is grpc.StatusCode.DEADLINE_EXCEEDED:
        message = (
            f"no answer within {settings.timeout_s:g} s; the agent goes on with it (try: {_LOOK})"
        )
        return Failure(message, Exit.DEADLINE)
    message = call.details() or f"the agent answered {code.name}"
    following = _NEXT.get(reason)
    return Failure(
        f"{message} (try: {following})" if following else message, _EXITS.get(code, Exit.FAILED)
    )


def _reason(problem: grpc.Call) -> str:
    """The reason in the status's ErrorInfo, empty where an agent gave none."""
    try:
        status = rpc_status.from_call(problem)
    except ValueError:  # Details that contradict the status: nobody of ours wrote them.
        return ""
    info = error_details_pb2.ErrorInfo()
    for detail in status.details if status is not None else ():
        if detail.Unpack(info) and info.domain == DOMAIN:
            return str(info.reason)
    return ""


def unreachable(settings: Settings) -> Failure:
    """Why nobody answers, asked of the operating system: gRPC has only a text for it."""
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
