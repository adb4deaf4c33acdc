"""Records as the native wire shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from google.protobuf import duration_pb2, timestamp_pb2

from cubelet.api.v1 import sandboxes_pb2 as pb
from cubelet.core.bindings import Binding, Bindings
from cubelet.core.conditions import Condition
from cubelet.core.model import Call, LastSeen, Operation, Record, State
from cubelet.rpc.labels import labels_of
from cubelet.rpc.native.specs import spec_to_wire
from cubelet.rpc.texts import wire_text

_NANOS = 1_000_000_000

WIRE_STATES: Mapping[State, pb.State.ValueType] = {
    State.CREATED: pb.STATE_CREATED,
    State.RUNNING: pb.STATE_RUNNING,
    State.PAUSING: pb.STATE_PAUSING,
    State.PAUSED: pb.STATE_PAUSED,
    State.RESUMING: pb.STATE_RESUMING,
    State.EXITED: pb.STATE_EXITED,
    State.DELETED: pb.STATE_DELETED,
}


STATES: Mapping[int, State] = {number: state for state, number in WIRE_STATES.items()}


def sandbox_to_wire(record: Record, conditions: Iterable[Condition]) -> pb.Sandbox:
    """Everything that the record says and its owner may know, and what is remarkable now."""
    ended = bool(record.finished_at_ns)
    return pb.Sandbox(
        id=record.id,
        namespace=record.namespace,
        state=WIRE_STATES[record.state],
        spec=spec_to_wire(record.spec),
        created_at=stamp(record.created_at_ns),
        started_at=stamp(record.started_at_ns),
        paused_at=stamp(record.paused_at_ns),
        finished_at=stamp(record.finished_at_ns),
        exit_code=record.exit_code,
        exit_reason=wire_text(record.exit_reason),
        pid=record.handle.pid if record.handle and not ended else 0,
        epoch=record.epoch,
        revision=record.revision,
        operation=_operation(record.open),
        last_observation=_observation(record.last_seen),
        bindings=_bindings(record.bindings),
        conditions=[condition_to_wire(condition) for condition in conditions],
        labels=labels_of(record),
    )


def stamp(at_ns: int) -> timestamp_pb2.Timestamp | None:
    """None, which leaves the field absent, for what has not happened."""
    if not at_ns:
        return None
    seconds, nanos = divmod(at_ns, _NANOS)
    return timestamp_pb2.Timestamp(seconds=seconds, nanos=nanos)


def duration(seconds: float) -> duration_pb2.Duration:
    """So long; nothing less than no time at all."""
    wire = duration_pb2.Duration()
    wire.FromNanoseconds(max(0, round(seconds * _NANOS)))
    return wire


def _operation(operation: Operation | None) -> pb.Operation | None:
    if operation is None:
        return None
    return pb.Operation(
        id=operation.op_id,
        kind=operation.kind.value,
        started_at=stamp(operation.started_at.wall_ns),
        in_flight=operation.call is Call.IN_FLIGHT,
        failure=wire_text(operation.failure.message) if operation.failure else "",
        call=operation.call.value,
        caller_answered=operation.answered,
        attempt=operation.attempt,
        snapshot_id=operation.snapshot_id,
    )


def _observation(seen: LastSeen | None) -> pb.Observation | None:
    if seen is None:
        return None
    return pb.Observation(
        evidence=wire_text(seen.evidence), cause=seen.cause, at=stamp(seen.at.wall_ns)
    )


def _bindings(bindings: Bindings) -> pb.Bindings | None:
    runtime, restore = _binding(bindings.runtime), _binding(bindings.restore)
    if runtime is None and restore is None:
        return None
    return pb.Bindings(runtime=runtime, restore=restore, generation=bindings.generation)


def _binding(binding: Binding) -> pb.Binding | None:
    if not binding.snapshot_id:
        return None
    return pb.Binding(
        snapshot_id=binding.snapshot_id,
        attached_at=stamp(binding.attached_at_ns),
        unproven=not binding.proven,
    )


def condition_to_wire(condition: Condition) -> pb.Condition:
    """What is remarkable, since when, on what evidence."""
    return pb.Condition(
        kind=condition.kind.value,
        since=stamp(condition.since_ns),
        evidence=wire_text(condition.evidence),
    )
