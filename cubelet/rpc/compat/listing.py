"""CubeboxMgr.List: all sandboxes from memory, as a master knows them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import msgspec

from cubelet.core.model import Record, State
from cubelet.engine.facade import Agent
from cubelet.rpc.compat import keys
from cubelet.rpc.labels import labels_of
from cubelet.services.cubebox.v1 import cubebox_pb2 as pb

#: More are cut off, after the filter, the newest and living ones kept.
SANDBOXES_MAX = 5000

#: How many are translated before others get their turn: a few milliseconds' worth.
_AT_ONCE = 100

#: RESUMING is shown as PAUSED, which it is until it runs. A deletion that was accepted is not shown
#: at all, and CONTAINER_UNKNOWN, which masters take for dead, is said of nothing.
STATES: Mapping[State, pb.ContainerState.ValueType] = {
    State.CREATED: pb.CONTAINER_CREATED,
    State.RUNNING: pb.CONTAINER_RUNNING,
    State.PAUSING: pb.CONTAINER_PAUSING,
    State.PAUSED: pb.CONTAINER_PAUSED,
    State.RESUMING: pb.CONTAINER_PAUSED,
    State.EXITED: pb.CONTAINER_EXITED,
}


async def list_sandboxes(
    agent: Agent, request: pb.ListCubeSandboxRequest
) -> pb.ListCubeSandboxResponse:
    """With an id, that sandbox or none, and no filter; else all that fit the filter.

    What is listed is what was there at the beginning: records never change, there come new ones.
    """
    shown = [record for record in agent.view() if record.state in STATES]
    if request.id:
        chosen = tuple(record for record in shown if record.id == request.id)
    else:
        chosen = _first(record for record in shown if _fits(record, request.filter))
    whole = request.option.private_with_cubebox_store
    reply = pb.ListCubeSandboxResponse()
    for start in range(0, len(chosen), _AT_ONCE):
        some = chosen[start : start + _AT_ONCE]
        reply.items.extend(_sandbox(record, whole=whole) for record in some)
        await asyncio.sleep(0)
    return reply


def _first(records: Iterable[Record]) -> tuple[Record, ...]:
    """Ended ones last, newest first, by a key that orders every pair the same way."""
    ordered = sorted(records, key=lambda r: (bool(r.finished_at_ns), -r.created_at_ns, r.id))
    return tuple(ordered[:SANDBOXES_MAX])


def _fits(record: Record, wanted: pb.CubeSandboxFilter) -> bool:
    """Whether the sandbox's container fits; its labels are the sandbox's and its own."""
    if wanted.HasField("state") and STATES[record.state] != wanted.state.state:
        return False
    if not wanted.label_selector:
        return True
    return dict(wanted.label_selector).items() <= _container_labels(record).items()


def _sandbox(record: Record, *, whole: bool) -> pb.CubeSandbox:
    return pb.CubeSandbox(
        id=record.id,
        namespace=record.namespace,
        created_at=record.created_at_ns,
        containers=[_container(record)],
        labels=labels_of(record),
        paused_at=_paused_at_ns(record),
        private_cubebox_storage_data=_stored(record) if whole else b"",
    )


def _container(record: Record) -> pb.Container:
    notes = record.spec.annotations
    return pb.Container(
        id=record.id,
        image=notes.get(keys.NOTED_IMAGE, record.spec.template),
        type="sandbox",
        resources=_resource(record),
        state=STATES[record.state],
        created_at=record.created_at_ns,
        finished_at=record.finished_at_ns,
        labels=_container_labels(record),
        paused_at=_paused_at_ns(record),
    )


def _resource(record: Record) -> pb.Resource:
    """In the words of the request; for a sandbox of the native API, its limits."""
    notes, limits = record.spec.annotations, record.spec.resources
    if keys.NOTED_CPU in notes:
        return pb.Resource(
            cpu=notes[keys.NOTED_CPU],
            mem=notes.get(keys.NOTED_MEM, ""),
            cpu_limit=notes.get(keys.NOTED_CPU_LIMIT, ""),
            mem_limit=notes.get(keys.NOTED_MEM_LIMIT, ""),
        )
    return pb.Resource(
        cpu=f"{limits.cpu_milli}m" if limits.cpu_milli else "",
        mem=str(limits.memory_bytes) if limits.memory_bytes else "",
    )


def _container_labels(record: Record) -> dict[str, str]:
    return labels_of(record) | {
        keys.CONTAINER_TYPE: "sandbox",
        keys.CONTAINER_NAME: record.spec.annotations.get(keys.NOTED_NAME, record.id),
        keys.SANDBOX_ID: record.id,
    }


def _paused_at_ns(record: Record) -> int:
    """When the pause began while PAUSING, when it ended while paused, else 0."""
    if record.state is State.PAUSING and record.open is not None:
        return record.open.started_at.wall_ns
    if STATES[record.state] == pb.CONTAINER_PAUSED:
        return record.paused_at_ns
    return 0


def _stored(record: Record) -> bytes:
    """The whole record as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2)
