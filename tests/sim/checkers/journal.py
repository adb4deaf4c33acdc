"""I14: revisions are contiguous, and the journal replayed gives the table."""

from __future__ import annotations

from collections.abc import Sequence

from cubelet.core.effects import Entry
from cubelet.core.inputs import Cause
from cubelet.core.model import Record, State
from cubelet.engine.ports import Change
from tests.sim.checkers.base import Checker, Facts

_LIVE = frozenset({State.RUNNING, State.PAUSED})
_BEGUN = frozenset({State.PAUSING, State.RESUMING})


class Journal(Checker):
    """Checks every transaction as it lands, and all entries at the end."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        #: The highest epoch and revision that each incarnation ever had.
        self._top: dict[str, tuple[int, int]] = {}
        #: The wall clock's, when a record was last made anew.
        self._offset_ns = 0

    def written(self, before: Record | None, change: Change) -> None:
        known = before
        if before is None and change.record is not None:
            self._check_new(change.record, change.entries[0])
            self._offset_ns = max(self._offset_ns, self.world.wall_offset_ns)
            self._check_record(before, change)
            return
        for entry in change.entries:
            if known is not None and known.incarnation != entry.incarnation:
                known = None
            was = known.revision if known is not None else 0
            if entry.revision != was + 1:
                self.fail(f"I14 {change.id}: revision {entry.revision} follows {was}")
            if known is not None and entry.before is not known.state:
                self.fail(f"I14 {change.id}: from {entry.before}, but it was {known.state}")
            if known is not None and entry.epoch < known.epoch:
                self.fail(f"I14 {change.id}: epoch {entry.epoch} follows {known.epoch}")
            if entry.after in _BEGUN and entry.before in _LIVE and entry.cause is not Cause.RPC:
                self.fail(f"I14 {change.id}: {entry.after} begun by {entry.cause}")
            known = change.record
        self._check_record(before, change)

    def quiet(self, view: Sequence[Record]) -> None:
        last: dict[str, tuple[str, int, State]] = {}
        for entry in self.facts.disk.tables.entries:
            last[entry.sandbox_id] = (entry.incarnation, entry.revision, entry.after)
        for record in self.facts.disk.tables.records.values():
            if last.get(record.id) != (record.incarnation, record.revision, record.state):
                self.fail(f"I14 {record.id}: the journal's last entry is not the record")

    def died(self, *, power: bool) -> None:
        """What a power cut has taken back is counted again."""
        if power:
            self._top.clear()

    def _check_new(self, after: Record, entry: Entry) -> None:
        """The first revision is 1; that of a record that was made anew, above all that it had."""
        top = self._top.get(after.incarnation)
        if entry.after is State.CREATED and top is None:
            if (entry.revision, entry.epoch) != (1, 1):
                self.fail(f"I14 {after.id}: begins at revision {entry.revision}")
        elif top is None or self.world.wall_offset_ns < self._offset_ns:
            pass  # The wall clock was set back, by up to ten years.
        elif entry.revision <= top[1] or entry.epoch <= top[0]:
            self.fail(f"I14 {after.id}: made anew at revision {entry.revision}, it had {top[1]}")

    def _check_record(self, before: Record | None, change: Change) -> None:
        after = change.record
        if after is None:
            return
        if not change.entries:
            self.fail(f"I14 {change.id}: changed on disk without an entry")
        last = change.entries[-1]
        if (last.revision, last.after, last.epoch) != (after.revision, after.state, after.epoch):
            self.fail(f"I14 {change.id}: the entry does not say what the record is")
        self._top[after.incarnation] = (after.epoch, after.revision)
        if before is not None and before.incarnation != after.incarnation:
            self.fail(f"I6 {change.id}: another incarnation over a record that is there")
