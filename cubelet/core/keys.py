"""Idempotency: a request whose key is known does nothing new, and gets the answer of the first."""

from __future__ import annotations

from dataclasses import replace

from cubelet.core.edges import keep
from cubelet.core.effects import Complete, Decision, Join, Replay
from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.inputs import DeleteRequested, Request
from cubelet.core.model import Call, Key, Now, Operation, Outcome, Record

#: Callers with keys that one operation may have; more are asked to come again.
KEYS_MAX = 16


def known(record: Record | None, request: Request) -> Decision | None:
    """What becomes of a request whose key was seen before; None where it is new, or has none."""
    key, told = request.key, request.remembered
    if key is None:
        return None
    op = record.open if record else None
    pending = (*record.delete_keys, *(op.keys if op else ())) if record else ()
    earlier = told.key if told else _find(key, pending)
    if earlier is None:
        return None
    if earlier.digest != key.digest:
        return keep(record, Complete(op_id=request.op_id, fault=_reused(key)))
    if told is not None:
        return keep(record, Replay(op_id=request.op_id, outcome=told))
    if record is None or op is None or isinstance(request, DeleteRequested):
        return None  # A repeated delete waits for the same end as the first.
    return _of_open(record, op, request)


def _of_open(record: Record, op: Operation, request: Request) -> Decision | None:
    """A repetition of what is still open: the failure that was told, or the answer to come."""
    if op.answered and op.failure is not None:
        return keep(record, Complete(op_id=request.op_id, fault=op.failure))
    return join(record, op, request)


def join(record: Record, op: Operation, request: Request) -> Decision | None:
    """Let the request wait for the open operation; None where no answer of that is to come soon.

    Once our call is over without an answer, when the outcome shows is the shim's affair.
    """
    coming = op.call is Call.IN_FLIGHT or op.failure is not None
    if op.answered or not coming:
        return None
    keys = with_key(op.keys, request.key)
    if len(keys) > KEYS_MAX:
        return keep(record, Complete(op_id=request.op_id, fault=_too_many(record)))
    joined = replace(record, open=replace(op, keys=keys))
    return keep(joined, Join(op_id=request.op_id, to_op_id=op.op_id))


def with_key(keys: tuple[Key, ...], key: Key | None) -> tuple[Key, ...]:
    """The keys and this one, if it is one and new."""
    return keys if key is None or key in keys else (*keys, key)


def answers(
    op: Operation, *, sandbox_id: str, now: Now, fault: Fault | None, record: Record | None
) -> tuple[Outcome, ...]:
    """What is to be kept of an operation's answer: one for each key."""
    return tuple(
        Outcome(
            sandbox_id=sandbox_id,
            key=key,
            op_id=op.op_id,
            at_ns=now.wall_ns,
            fault=fault,
            record=record if fault is None else None,
        )
        for key in op.keys
    )


def _find(key: Key, among: tuple[Key, ...]) -> Key | None:
    return next((earlier for earlier in among if earlier.value == key.value), None)


def _too_many(record: Record) -> Fault:
    return Fault(
        code=Code.RESOURCE_EXHAUSTED,
        reason=Reason.TOO_BUSY,
        message=f"{KEYS_MAX} callers wait for this operation of sandbox {record.id} already",
    )


def _reused(key: Key) -> Fault:
    return Fault(
        code=Code.INVALID_ARGUMENT,
        reason=Reason.KEY_REUSED,
        message=(
            f"key {key.value!r} was used for another request to this sandbox; a key belongs to one "
            "request and its repetitions: choose a new one"
        ),
    )
