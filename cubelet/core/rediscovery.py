"""A sandbox that is found on the host after the store has lost its record: that is made anew.

What no shim can tell comes from the record that lies beside the sandbox, as it was created; what a
shim can tell is asked. Nothing is guessed: which snapshot its memory builds on is in neither.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from cubelet.core.bindings import Bindings
from cubelet.core.edges import keep, write
from cubelet.core.effects import Decision, Destroy, Effect
from cubelet.core.endings import ended
from cubelet.core.evidence import (
    Alive,
    Contradicted,
    Ended,
    Evidence,
    Gone,
    NoAnswer,
    Status,
    describe,
)
from cubelet.core.inputs import Cause, DeleteRequested, Rediscovered
from cubelet.core.keys import with_key
from cubelet.core.model import Divergence, Now, Record
from cubelet.core.observe import of_this_process
from cubelet.core.recovery import HOST_RESTARTED, ended_with_its_host, of_another_boot

#: Less than any change of a record takes.
_CHANGE_NS = 1000


def rediscovered(record: Record | None, happened: Rediscovered, now: Now) -> Decision:
    """Make the record anew, unless the shim has not said what its sandbox is."""
    if record is not None:
        return keep(record)  # Its deletion was asked for, and has made a record of it.
    found, why = happened.record, happened.why
    anew = _anew(found, why, now)
    if of_another_boot(found, happened.boot_id):
        evidence: Evidence = HOST_RESTARTED
        over = ended_with_its_host(anew, happened.boot_id, now)
        return _written(over, evidence, now, Destroy())
    evidence = of_this_process(found, happened.evidence)
    if _never_ran(found, evidence):
        # Its create was not answered, or the sandbox would run: nobody knows of it.
        gone = replace(anew, tombstone_at_ns=now.wall_ns)
        return _written(gone, evidence, now, Destroy())
    after = _as_seen(anew, evidence, now)
    return keep(None) if after is None else _written(after, evidence, now)


def deleted(lost: Record, request: DeleteRequested, now: Now) -> Decision:
    """Delete it by what lies beside it: its shim may hang for ever, and need not be asked."""
    anew = _anew(lost, "it was deleted before its shim had answered", now)
    return write(
        None,
        replace(anew, tombstone_at_ns=now.wall_ns, delete_keys=with_key((), request.key)),
        now=now,
        cause=Cause.RPC,
        detail="deletion accepted; its record was lost",
        op_id=request.op_id,
        effects=(Destroy(),),
    )


def _anew(found: Record, why: str, now: Now) -> Record:
    """The record, but for the state. Both bindings are the sentinel's, whatever the runtime.

    Nobody knows how far the lost one had counted, and who follows the revisions, or expects an
    epoch, must not meet the same numbers again. A record changes less than once in a microsecond:
    so the microseconds since 1970 are above all that it had, and JSON carries them exactly. Made
    anew a second time it goes on above the first, unless somebody has set the wall clock back by
    more than the time in between: nothing better outlives both stores.
    """
    generation = found.handle.generation if found.handle else 0
    count = now.wall_ns // _CHANGE_NS
    return replace(
        found,
        epoch=max(found.epoch, count),
        revision=max(found.revision, count),
        open=None,
        started_at_ns=found.created_at_ns,
        bindings=Bindings(generation=generation).invalidated(now.wall_ns),
        remade_why=why,
    )


def _never_ran(found: Record, evidence: Evidence) -> bool:
    """Whether its create was cut short: no process of it is known, or that was never let go."""
    known = found.handle is not None and found.handle.pid > 0
    waits = isinstance(evidence, Alive) and evidence.status is Status.CREATED
    return waits or not known


def _as_seen(anew: Record, evidence: Evidence, now: Now) -> Record | None:
    """The record in the state that the shim tells; None where it tells none."""
    match evidence:
        case Ended() | Gone():
            return ended(anew, evidence, now)
        case Alive(status=Status.RUNNING):
            return anew
        case Alive(status=Status.PAUSED):
            return replace(anew, paused_at_ns=now.wall_ns)
        case Contradicted(says=says, frozen=frozen):
            split = Divergence(says=says, frozen=frozen, since=now)
            paused_at_ns = now.wall_ns if says is Status.PAUSED else 0
            return replace(anew, paused_at_ns=paused_at_ns, diverged=split)
        case Alive() | NoAnswer():
            return None
        case _ as unreachable:
            assert_never(unreachable)


def _written(after: Record, evidence: Evidence, now: Now, *effects: Effect) -> Decision:
    undone = "; its create was cut short, and is undone" if after.tombstone_at_ns else ""
    return write(
        None,
        after,
        now=now,
        cause=Cause.RECOVERY,
        detail=(
            f"found on the host, its record was lost ({after.remade_why}):"
            f" {describe(evidence)}{undone}; snapshot bindings invalidated"
        ),
        effects=effects,
    )
