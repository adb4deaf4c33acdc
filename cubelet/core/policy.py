"""Every deadline and threshold of the agent's decisions, as one value."""

from __future__ import annotations

from dataclasses import dataclass

from cubelet.core.model import OpKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Durations in seconds. The defaults for calls are those of CubeSandbox's Cubelet (PR 404)."""

    #: How long a pause or resume is waited for, from the start of the runtime call.
    call_deadline_s: float = 30.0
    #: How long one question for the status may take; it inherits nothing from a failed call.
    query_deadline_s: float = 5.0
    #: From here on an open operation is overdue: twice the call's deadline, so that a call in
    #: flight is never judged.
    stuck_s: float = 60.0
    #: How far apart two answers must be that contradict a call which may still happen.
    settle_s: float = 10.0
    #: The first pause between two questions about an open operation; it doubles up to settle_max_s.
    settle_first_s: float = 0.25
    settle_max_s: float = 10.0
    #: Every live sandbox is asked once in each such period, whatever happens.
    relist_s: float = 10.0
    #: How long the record of an ended sandbox is kept, with what it left on disk.
    dead_ttl_s: float = 3600.0
    #: A create starts a shim and unpacks a root, so it is given longer.
    create_deadline_s: float = 60.0
    #: A snapshot writes memory to disk, so it is given longer than a pause.
    snapshot_deadline_s: float = 60.0
    #: For putting kernel and shim in agreement again, past the shim.
    heal_deadline_s: float = 10.0
    #: For killing and removing everything of a sandbox, hung or not.
    destroy_deadline_s: float = 30.0
    #: All prestop hooks of a pause run at once and end by then.
    hooks_deadline_s: float = 10.0


_SNAPSHOTS = frozenset({OpKind.COMMIT, OpKind.ROLLBACK})


def call_limit_s(kind: OpKind, policy: Policy) -> float:
    """How long the runtime call of such an operation is waited for."""
    if kind is OpKind.CREATE:
        return policy.create_deadline_s
    return policy.snapshot_deadline_s if kind in _SNAPSHOTS else policy.call_deadline_s


def stuck_after_s(kind: OpKind, policy: Policy) -> float:
    """From which age on such an operation is overdue: twice what its call is waited for."""
    return 2 * policy.snapshot_deadline_s if kind in _SNAPSHOTS else policy.stuck_s


def backoff_s(attempt: int, policy: Policy) -> float:
    """Doubling from settle_first_s, with attempt 0, up to settle_max_s."""
    doublings = min(attempt, 16)  # Beyond any limit, and no huge number.
    return min(policy.settle_max_s, policy.settle_first_s * 2.0**doublings)
