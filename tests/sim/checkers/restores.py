"""I4, from the record's side: every restore that can be noticed invalidates, and soon."""

from __future__ import annotations

from collections.abc import Sequence

from cubelet.core.model import Record, State
from cubelet.engine.ports import Change
from tests.sim.checkers.base import Checker, Facts
from tests.sim.checkers.bindings import SENTINEL
from tests.sim.checkers.stuck import FOLLOWED_S
from tests.sim.shim import Shim

_STILL = frozenset({State.PAUSED, State.RESUMING})


class Restores(Checker):
    """Where a resume is a restore, no path from standing still to running keeps a binding."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._differs: dict[str, float] = {}

    def written(self, before: Record | None, change: Change) -> None:
        after = change.record
        if before is None or after is None or before.incarnation != after.incarnation:
            return
        shim = self.facts.shim(after)
        if shim is None or shim.host.freezer:
            return
        resumed = before.state in _STILL and after.state is State.RUNNING
        if resumed and not _is_sentinel(after):
            self.fail(f"I4 {after.id}: {before.state} -> {after.state}, and keeps its bindings")

    def sampled(self, view: Sequence[Record]) -> None:
        now_s = self.world.now_s
        for record in view:
            shim = self.facts.shim(record)
            if shim is None or not self._is_behind(record, shim):
                self._differs.pop(record.incarnation, None)
                continue
            first_s = self._differs.setdefault(record.incarnation, now_s)
            if now_s > max(first_s, self.facts.settled_since_s(shim)) + FOLLOWED_S:
                self.fail(f"I4 {record.id}: bindings of an older restore, for {FOLLOWED_S} s")

    def _is_behind(self, record: Record, shim: Shim) -> bool:
        if record.open is not None or not shim.alive or shim.busy or shim.split:
            return False
        if not shim.host.counts_generations or _is_sentinel(record) or record.tombstone_at_ns:
            return False
        return record.bindings.generation != shim.generation


def _is_sentinel(record: Record) -> bool:
    bindings = record.bindings
    return bindings.runtime.snapshot_id == bindings.restore.snapshot_id == SENTINEL
