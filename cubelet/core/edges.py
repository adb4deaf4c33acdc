"""Writing a change: the next revision and its line in the journal, checked against the table."""

from __future__ import annotations

from dataclasses import replace

from cubelet.core.bindings import Snapshot
from cubelet.core.effects import Decision, Effect, Entry
from cubelet.core.inputs import Cause
from cubelet.core.model import Now, Outcome, Record, State
from cubelet.core.table import EDGES


def write(  # noqa: PLR0913 - one change has that many sides; all are named.
    before: Record | None,
    after: Record,
    *,
    now: Now,
    cause: Cause,
    detail: str,
    op_id: str = "",
    effects: tuple[Effect, ...] = (),
    outcomes: tuple[Outcome, ...] = (),
    snapshots: tuple[Snapshot, ...] = (),
    synced: bool = True,
) -> Decision:
    """The decision that makes `after` the record: revision + 1, one journal entry, kept on disk."""
    edge = (before.state if before else None, after.state)
    _check(edge, cause)
    record = replace(after, revision=after.revision + 1)
    entry = Entry(
        sandbox_id=record.id,
        incarnation=record.incarnation,
        revision=record.revision,
        epoch=record.epoch,
        at_ns=now.wall_ns,
        cause=cause,
        before=edge[0],
        after=edge[1],
        op_id=op_id or (after.open.op_id if after.open else ""),
        detail=detail,
    )
    return Decision(
        record=record,
        effects=effects,
        entries=(entry,),
        # Told again, a success shows the record as it was told the first time, revision and all.
        outcomes=tuple(replace(one, record=record if one.record else None) for one in outcomes),
        snapshots=snapshots,
        synced=synced,
    )


def _check(edge: tuple[State | None, State], cause: Cause) -> None:
    before, after = edge
    if before is not after:
        assert cause in EDGES.get((before, after), ()), f"no edge {before} -> {after} by {cause}"  # noqa: S101
    assert before is not State.EXITED or after in {State.EXITED, State.DELETED}  # noqa: S101


def keep(record: Record | None, *effects: Effect) -> Decision:
    """The decision that changes nothing on disk."""
    return Decision(record=record, effects=effects, persist=False)
