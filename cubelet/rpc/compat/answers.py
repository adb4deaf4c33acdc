"""The guarantee that `ret` is set.

A reply whose `ret` is missing reads as success. So each RPC runs inside `answering`: whatever
it raises, the reply is finished here, and gRPC says OK.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol, TypeVar

from cubelet.core.faults import Code, CubeletError, Fault, Reason, error
from cubelet.engine.ports import Ids
from cubelet.rpc import calls, incidents
from cubelet.rpc.compat import keys
from cubelet.rpc.compat.tables import Answer, Table
from cubelet.rpc.texts import wire_text
from cubelet.services.errorcode.v1 import errorcode_pb2 as codes


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
    reply.ret.ret_msg = wire_text(_text(reply, fault, answer))
    ext_info = getattr(reply, "ext_info", None)
    if ext_info is not None:  # In the contract, replies about snapshots have none.
        ext_info[keys.REASON] = fault.reason.value.encode()
    calls.failed(fault.reason.value, reply.ret.ret_msg)


def _text(reply: Reply, fault: Fault, answer: Answer) -> str:
    if answer.message is None:
        return fault.message
    return answer.message.replace("{id}", getattr(reply, "sandboxID", ""))
