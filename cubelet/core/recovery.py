"""A new agent over the records of one that ended: its calls are lost, its shims may live."""

from __future__ import annotations

from dataclasses import replace

from cubelet.core.edges import keep
from cubelet.core.effects import Decision, Destroy, Query
from cubelet.core.endings import undo_create
from cubelet.core.inputs import Cause
from cubelet.core.model import Call, Now, OpKind, Record
from cubelet.core.settle import restarted


def recovered(record: Record, now: Now) -> Decision:
    """Take the record over, and ask what has become of it meanwhile."""
    record = replace(record, unseen_since=None, diverged=None)
    op = record.open
    if record.tombstone_at_ns:
        return keep(replace(record, open=None), Destroy())
    if record.finished_at_ns:
        return keep(record)
    if op is None:
        return keep(record, Query(cause=Cause.RECOVERY))
    lost = replace(op, call=Call.LOST, contradicted_mono_s=None, attempt=0, heals=0)
    if op.kind is OpKind.CREATE:
        failed = replace(lost, failure=op.failure or restarted(op))
        return undo_create(replace(record, open=failed), now, Cause.RECOVERY)
    return keep(replace(record, open=lost), Query(cause=Cause.RECOVERY))
