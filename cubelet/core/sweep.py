"""The round over all sandboxes, as it comes to one of them: relist, dead-GC sweeper, or nothing.

PAUSED ones are asked like all that live. An operation in flight is left alone, and one younger than
stuck_s is the settle loop's. Nothing here ends a sandbox: that takes evidence, and this only asks.
"""

from __future__ import annotations

from cubelet.core.conditions import is_overdue
from cubelet.core.edges import keep
from cubelet.core.effects import Decision, Destroy, Query
from cubelet.core.endings import expire
from cubelet.core.inputs import Cause
from cubelet.core.model import Call, Now, Record
from cubelet.core.policy import Policy


def ticked(record: Record, now: Now, policy: Policy) -> Decision:
    """What the round does to this sandbox."""
    op = record.open
    if record.tombstone_at_ns:
        # Again, where it failed or the store refused to forget it; one under way is not repeated.
        creating = op is not None and op.call is Call.IN_FLIGHT
        return keep(record) if creating else keep(record, Destroy())
    if record.finished_at_ns:
        return expire(record, now, ttl_s=policy.dead_ttl_s)
    if op is None:
        return keep(record, Query(cause=Cause.RELIST))
    if is_overdue(op, now, policy):
        return keep(record, Query(cause=Cause.SWEEP))
    return keep(record)
