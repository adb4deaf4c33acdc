"""The RPCs of a sandbox's life: Create, Get, List, Pause, Resume, Delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cubelet.api.v1 import sandboxes_pb2 as pb
from cubelet.core.ids import check_id
from cubelet.core.inputs import Expected
from cubelet.core.model import Record, State
from cubelet.rpc.idempotency import native_key
from cubelet.rpc.labels import labels_of
from cubelet.rpc.native.group import Group
from cubelet.rpc.native.messages import STATES
from cubelet.rpc.native.paging import page, place
from cubelet.rpc.native.specs import spec_from_wire
from cubelet.rpc.validate import bad, check_labels


class Lifecycle(Group):
    """Each answers when what was asked for is so, and on disk."""

    async def Create(  # noqa: N802 - the RPC's name, as all below.
        self, request: pb.CreateRequest, context: Any
    ) -> pb.CreateResponse:
        """Make and start a sandbox."""
        del context
        for what, text in (("id", request.id), ("namespace", request.namespace)):
            if text:
                check_id(text, what)
        record = await self._agent.create(
            spec_from_wire(request.spec),
            sandbox_id=request.id,
            namespace=request.namespace,
            key=native_key("Create", request, request.idempotency_key),
        )
        return pb.CreateResponse(sandbox=self._shown(record))

    async def Get(self, request: pb.GetRequest, context: Any) -> pb.GetResponse:  # noqa: N802
        """One sandbox, by its id or by a prefix that no other has."""
        del context
        sandbox_id = self._agent.resolve(check_id(request.id, "id"))
        return pb.GetResponse(sandbox=self._shown(await self._agent.get(sandbox_id)))

    async def List(self, request: pb.ListRequest, context: Any) -> pb.ListResponse:  # noqa: N802
        """One page of what the agent has in memory."""
        del context
        wanted = filter(_selector(request), self._agent.view())
        shown, token = page(
            wanted,
            at=place,
            wire=self._shown,
            size=request.page_size,
            token=request.page_token,
        )
        return pb.ListResponse(sandboxes=shown, next_page_token=token)

    async def Pause(self, request: pb.PauseRequest, context: Any) -> pb.PauseResponse:  # noqa: N802
        """Pause it; answers when it is PAUSED."""
        del context
        record = await self._agent.pause(
            check_id(request.id, "id"),
            expected=_expected(request),
            key=native_key("Pause", request, request.idempotency_key),
        )
        return pb.PauseResponse(sandbox=self._shown(record))

    async def Resume(  # noqa: N802
        self, request: pb.ResumeRequest, context: Any
    ) -> pb.ResumeResponse:
        """Resume it; answers when it is RUNNING."""
        del context
        record = await self._agent.resume(
            check_id(request.id, "id"),
            expected=_expected(request),
            key=native_key("Resume", request, request.idempotency_key),
        )
        return pb.ResumeResponse(sandbox=self._shown(record))

    async def Delete(  # noqa: N802
        self, request: pb.DeleteRequest, context: Any
    ) -> pb.DeleteResponse:
        """End and remove it."""
        del context
        key = native_key("Delete", request, request.idempotency_key)
        await self._agent.delete(check_id(request.id, "id"), key=key)
        return pb.DeleteResponse()


def _expected(request: pb.PauseRequest | pb.ResumeRequest) -> Expected:
    """What the caller takes for granted; 0 is anything."""
    wanted = request.expected_state
    return Expected(
        epoch=request.expected_epoch or None,
        state=_state("expected_state", wanted) if wanted else None,
    )


def _selector(request: pb.ListRequest) -> Callable[[Record], bool]:
    """Whether a record is one of those asked for: any of the states, all of the labels."""
    check_labels(request.labels)
    states = frozenset(_state("states", number) for number in request.states)
    labels = dict(request.labels).items()

    def wanted(record: Record) -> bool:
        if states and record.state not in states:
            return False
        return not labels or labels <= labels_of(record).items()

    return wanted


def _state(field: str, number: int) -> State:
    state = STATES.get(number)
    if state is None:
        raise bad(field, number, "use the numbers of cubelet.api.v1.State, from 1")
    return state
