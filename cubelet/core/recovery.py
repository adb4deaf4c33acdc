"""A new agent over the records of one that ended: its calls are lost, its shims may live.

Unless the host was restarted: that proves that no shim lives, so nobody is asked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cubelet.core.converge import Verdict
from cubelet.core.edges import keep, write
from cubelet.core.effects import Decision, Destroy, Query
from cubelet.core.endings import deleted_while_created, ended, undo_create
from cubelet.core.evidence import Gone, describe
from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.inputs import Cause, Recovered
from cubelet.core.model import Call, Now, Operation, OpKind, Record
from cubelet.core.policy import Policy
from cubelet.core.settle import conclude, restarted

#: What another boot id proves of whatever lived in the boot before.
HOST_RESTARTED: Final = Gone(why="the host was restarted")


def recovered(record: Record, happened: Recovered, now: Now, policy: Policy) -> Decision:
    """Take the record over, and ask what has become of it meanwhile."""
    record = replace(record, last_seen=None, unseen_since=None, diverged=None)
    rebooted = of_another_boot(record, happened.boot_id)
    op = record.open
    if record.tombstone_at_ns:
        fault = deleted_while_created(record)
        cut = op and replace(op, call=Call.LOST, failure=op.failure or fault)
        return keep(replace(record, open=cut), Destroy())
    if record.finished_at_ns:
        # Of another boot it is at least as old as this boot. Where no boot was noted, a stamp from
        # the future of the clock, which begins anew with the host, counts as now.
        since_s = 0.0 if rebooted else min(record.finished_mono_s, now.mono_s)
        effects = (Destroy(),) if record.leftovers else ()
        return keep(replace(record, finished_mono_s=since_s), *effects)
    if rebooted:
        return _rebooted(record, happened.boot_id, now, policy)
    if op is None:
        return keep(record, Query(cause=Cause.RECOVERY))
    lost = replace(op, call=Call.LOST, contradicted_mono_s=None, attempt=0, heals=0)
    if op.started_at.mono_s > now.mono_s:
        lost = replace(lost, started_at=replace(op.started_at, mono_s=now.mono_s))
    if op.kind is OpKind.CREATE:
        # Nobody was told that there is a sandbox: whatever the shim says, it is undone.
        lost = replace(lost, failure=op.failure or restarted(op))
    return keep(replace(record, open=lost), Query(cause=Cause.RECOVERY))


def of_another_boot(record: Record, boot_id: str) -> bool:
    """Whether the host was restarted since; False where either boot was not noted."""
    return bool(record.boot_id and boot_id) and record.boot_id != boot_id


def ended_with_its_host(record: Record, boot_id: str, now: Now) -> Record:
    """The record of what has ended so, which is one of this boot from now on: its age counts in it.

    What it left on disk is of no use to anybody, and is to go at once.
    """
    return replace(ended(record, HOST_RESTARTED, now), boot_id=boot_id, leftovers=True)


def _rebooted(record: Record, boot_id: str, now: Now, policy: Policy) -> Decision:
    """The end of what lived, an operation's answer where one was open, and the removal."""
    op = record.open
    cut = op and replace(op, call=Call.LOST, failure=op.failure or _cut_short(op))
    before = replace(record, open=cut)
    if op is not None and op.kind is OpKind.CREATE:
        return undo_create(before, now, Cause.RECOVERY)
    after = ended_with_its_host(record, boot_id, now)
    if op is None:
        decision = write(
            before, after, now=now, cause=Cause.RECOVERY, detail=describe(HOST_RESTARTED)
        )
    else:
        decision = conclude(
            before,
            after,
            verdict=Verdict.ENDED,
            cause=Cause.RECOVERY,
            evidence=HOST_RESTARTED,
            now=now,
            policy=policy,
        )
    return replace(decision, effects=(*decision.effects, Destroy()))


def _cut_short(op: Operation) -> Fault:
    return Fault(
        code=Code.ABORTED,
        reason=Reason.AGENT_RESTARTED,
        message=f"the host was restarted during the {op.kind.lower()}",
    )
