"""cubelet.api.v1.Sandboxes: check, ask the agent, translate what it says.

Only Get takes a prefix of an id. What changes a sandbox takes the whole id, else a delete that is
sent twice could hit another sandbox whose id begins the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cubelet.api.v1 import sandboxes_pb2 as pb
from cubelet.api.v1 import sandboxes_pb2_grpc
from cubelet.core.ids import check_id
from cubelet.core.model import Record, State
from cubelet.engine.facade import Agent
from cubelet.rpc.native.messages import WIRE_STATES, sandbox_to_wire
from cubelet.rpc.native.paging import page
from cubelet.rpc.native.specs import spec_from_wire
from cubelet.rpc.validate import bad, check_labels

_STATES = {number: state for state, number in WIRE_STATES.items()}


class Sandboxes(sandboxes_pb2_grpc.SandboxesServicer):
    """Raises CubeletError; the gate makes statuses of them."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def Create(  # noqa: N802 - the RPC's name, as all below.
        self, request: pb.CreateRequest, context: Any
    ) -> pb.CreateResponse:
        """Make and start a sandbox."""
        del context
        for what, text in (("id", request.id), ("namespace", request.namespace)):
            if text:
                check_id(text, what)
        record = await self._agent.create(
            spec_from_wire(request.spec), sandbox_id=request.id, namespace=request.namespace
        )
        return pb.CreateResponse(sandbox=sandbox_to_wire(record))

    async def Get(self, request: pb.GetRequest, context: Any) -> pb.GetResponse:  # noqa: N802
        """One sandbox, by its id or by a prefix that no other has."""
        del context
        sandbox_id = self._agent.resolve(check_id(request.id, "id"))
        return pb.GetResponse(sandbox=sandbox_to_wire(await self._agent.get(sandbox_id)))

    async def List(self, request: pb.ListRequest, context: Any) -> pb.ListResponse:  # noqa: N802
        """One page of what the agent has in memory."""
        del context
        wanted = filter(_selector(request), self._agent.view())
        shown, token = page(wanted, size=request.page_size, token=request.page_token)
        return pb.ListResponse(
            sandboxes=[sandbox_to_wire(record) for record in shown], next_page_token=token
        )

    async def Pause(self, request: pb.PauseRequest, context: Any) -> pb.PauseResponse:  # noqa: N802
        """Pause it; answers when it is PAUSED."""
        del context
        record = await self._agent.pause(
            check_id(request.id, "id"), expected_epoch=request.expected_epoch or None
        )
        return pb.PauseResponse(sandbox=sandbox_to_wire(record))

    async def Resume(  # noqa: N802
        self, request: pb.ResumeRequest, context: Any
    ) -> pb.ResumeResponse:
        """Resume it; answers when it is RUNNING."""
        del context
        record = await self._agent.resume(
            check_id(request.id, "id"), expected_epoch=request.expected_epoch or None
        )
        return pb.ResumeResponse(sandbox=sandbox_to_wire(record))

    async def Delete(  # noqa: N802
        self, request: pb.DeleteRequest, context: Any
    ) -> pb.DeleteResponse:
        """End and remove it."""
        del context
        await self._agent.delete(check_id(request.id, "id"))
        return pb.DeleteResponse()


def _selector(request: pb.ListRequest) -> Callable[[Record], bool]:
    """Whether a record is one of those asked for: any of the states, all of the labels."""
    check_labels(request.labels)
    states = frozenset(_state(number) for number in request.states)
    labels = dict(request.labels).items()

    def wanted(record: Record) -> bool:
        return (not states or record.state in states) and labels <= record.spec.labels.items()

    return wanted


def _state(number: int) -> State:
    state = _STATES.get(pb.State.ValueType(number))
    if state is None:
        raise bad("states", number, "use the numbers of cubelet.api.v1.State, from 1")
    return state
