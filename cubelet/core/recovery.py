"""A new agent over the records of one that ended: its calls are lost, its shims may live."""

from __future__ import annotations

from dataclasses import replace

from cubelet.core.edges import keep
from cubelet.core.effects import Decision, Destroy, Query
from cubelet.core.endings import deleted_while_created
from cubelet.core.inputs import Cause
from cubelet.core.model import Call, Now, OpKind, Record
from cubelet.core.settle import restarted


def recovered(record: Record, now: Now) -> Decision:
    """Take the record over, and ask what has become of it meanwhile."""
    record = replace(record, last_seen=None, unseen_since=None, diverged=None)
    op = record.open
    if record.tombstone_at_ns:
        fault = deleted_while_created(record)
        cut = op and replace(op, call=Call.LOST, failure=op.failure or fault)
        return keep(replace(record, open=cut), Destroy())
    if record.finished_at_ns:
        # The host's restart begins the monotonic clock anew: a stamp from its future counts as now.
        return keep(replace(record, finished_mono_s=min(record.finished_mono_s, now.mono_s)))
    if op is None:
        return keep(record, Query(cause=Cause.RECOVERY))
    lost = replace(op, call=Call.LOST, contradicted_mono_s=None, attempt=0, heals=0)
    if op.started_at.mono_s > now.mono_s:
        lost = replace(lost, started_at=replace(op.started_at, mono_s=now.mono_s))
    if op.kind is OpKind.CREATE:
        # Nobody was told that there is a sandbox: whatever the shim says, it is undone.
        lost = replace(lost, failure=op.failure or restarted(op))
    return keep(replace(record, open=lost), Query(cause=Cause.RECOVERY))
