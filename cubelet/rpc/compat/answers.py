"""Codes and messages of the compatible API, as tables, and the guarantee that `ret` is set.

A reply whose `ret` is missing reads as success. So each RPC runs inside `answering`: whatever
it raises, the reply is finished here, and gRPC says OK.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from cubelet.core.faults import Code, CubeletError, Fault, Reason, error
from cubelet.engine.ports import Ids
from cubelet.rpc import calls, incidents
from cubelet.rpc.compat import keys
from cubelet.rpc.texts import wire_text
from cubelet.services.errorcode.v1 import errorcode_pb2 as codes


@dataclass(frozen=True, slots=True)
class Answer:
    """`message` None: the fault's own, which for a failed call is the runtime's text."""

    code: codes.ErrorCode.ValueType
    message: str | None = None


Table = Mapping[Reason, Answer]

NOT_FOUND = "key not found"
_INVALID = Answer(codes.InvalidParamFormat)
_NO_SANDBOX = Answer(codes.InvalidParamFormat, NOT_FOUND)
_PAUSED = Answer(codes.TaskStateInvalid, "sandbox is already paused")
_NOT_RUNNING = Answer(codes.TaskStateInvalid, "sandbox is not running")
_GONE = Answer(codes.Success)


def _not_resumable(state: str) -> Answer:
    return Answer(codes.TaskResumeFailed, f"sandbox not resumable in state=CONTAINER_{state}")


def _table(failed: codes.ErrorCode.ValueType, special: Table) -> Table:
    """Every reason's answer: what has no line of its own is a failure of the operation."""
    general = {
        Reason.BAD_REQUEST: _INVALID,
        Reason.SANDBOX_NOT_FOUND: _NO_SANDBOX,
        Reason.AMBIGUOUS_ID: _NO_SANDBOX,
        Reason.BUG: Answer(codes.Unknown),
    }
    return dict.fromkeys(Reason, Answer(failed)) | general | dict(special)


#: A resume that is still open is no state in which a master may take the pause for done.
PAUSE = _table(
    codes.TaskPauseFailed,
    {
        Reason.ALREADY_PAUSED: _PAUSED,
        Reason.PAUSE_IN_PROGRESS: _PAUSED,
        Reason.NOT_RUNNING: _NOT_RUNNING,
        Reason.DELETE_IN_PROGRESS: _NOT_RUNNING,
    },
)
RESUME = _table(
    codes.TaskResumeFailed,
    {
        Reason.ALREADY_RUNNING: Answer(codes.TaskStateInvalid, "sandbox already running"),
        Reason.CREATE_IN_PROGRESS: _not_resumable("CREATED"),
        Reason.PAUSE_IN_PROGRESS: _not_resumable("PAUSING"),
        Reason.NOT_RUNNING: _not_resumable("EXITED"),
        Reason.DELETE_IN_PROGRESS: _not_resumable("EXITED"),
    },
)
#: The template is what the request calls an image, so one that is missing is an image that cannot
#: be had. 130498 would say that a snapshot is missing, which nobody asked for.
CREATE = _table(
    codes.CreateContainerFailed,
    {
        Reason.UNKNOWN_RUNTIME: _INVALID,
        Reason.TEMPLATE_NOT_FOUND: Answer(codes.PullImageFailed),
        Reason.SANDBOX_EXISTS: Answer(codes.Conflict),
        Reason.TOO_BUSY: Answer(codes.ConcurrentLimited),
    },
)
#: Who deletes what is gone has what they wanted: a retry whose first try worked is a success.
DESTROY = _table(
    codes.RemoveContainerFailed,
    {
        Reason.SANDBOX_NOT_FOUND: _GONE,
        Reason.DELETED_MEANWHILE: _GONE,
        Reason.TOO_BUSY: Answer(codes.ConcurrentLimited),
    },
)


class Request(Protocol):
    """What every request of this API has."""

    requestID: str  # noqa: N815 - the contract's spelling.


class Reply(Protocol):
    """What every reply but List's has."""

    requestID: str  # noqa: N815 - the contract's spelling.

    @property
    def ret(self) -> codes.Ret:
        """The result; unset reads as success."""
        ...

    @property
    def ext_info(self) -> MutableMapping[str, bytes]:
        """Bytes by name; `reason` says why a request failed."""
        ...


R = TypeVar("R", bound=Reply)


async def answering(
    what: str,
    request: Request,
    reply: R,
    *,
    ids: Ids,
    table: Table,
    work: Awaitable[None],
) -> R:
    """Await `work`, which fills the reply, and finish the reply whatever comes of it.

    `what` begins the text of an answer to an unexpected exception. Only CancelledError gets out.
    """
    calls.named(request.requestID)
    reply.requestID = request.requestID
    try:
        await work
    except CubeletError as failed:
        _fail(reply, failed.fault, table[failed.fault.reason])
    except Exception as failed:  # noqa: BLE001 - the reply must have its ret, whatever happened.
        incident = incidents.report(failed, ids)
        text = f"{what} panic info: incident {incident}, see the agent's log"
        _fail(reply, incidents.fault_of(incident), Answer(codes.Unknown, text))
    else:
        reply.ret.ret_code = codes.Success
    return reply


def refuse(message: str, reason: Reason = Reason.BAD_REQUEST) -> CubeletError:
    """The refusal of a request that is wrong in itself; its text is contract."""
    return error(Code.INVALID_ARGUMENT, reason, message)


def _fail(reply: Reply, fault: Fault, answer: Answer) -> None:
    reply.ret.ret_code = answer.code
    if answer.code == codes.Success:
        return
    reply.ret.ret_msg = wire_text(fault.message if answer.message is None else answer.message)
    reply.ext_info[keys.REASON] = fault.reason.value.encode()
    calls.failed(fault.reason.value, reply.ret.ret_msg)
