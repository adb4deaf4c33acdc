"""I10 events are hints, I11 fresh answers only: what is written was true, since the last change."""

from __future__ import annotations

from cubelet.core.model import Record, State
from cubelet.engine.ports import Change
from tests.sim.checkers.base import T_QUERY_S, Checker, Facts

_TARGETS = {State.RUNNING: "RUNNING", State.PAUSED: "PAUSED"}
_FROM = frozenset({State.RUNNING, State.PAUSED, State.PAUSING, State.RESUMING})


class TrueEdges(Checker):
    """A change to RUNNING or PAUSED that was not true at any instant since the change before it."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._edge_s: dict[str, float] = {}

    def written(self, before: Record | None, change: Change) -> None:
        after = change.record
        if before is None or after is None or before.incarnation != after.incarnation:
            return
        if before.state is after.state and before.epoch == after.epoch:
            return
        since_s = self._edge_s.get(after.incarnation, 0.0)
        self._edge_s[after.incarnation] = self.world.now_s
        shim = self.facts.shim(after)
        target = _TARGETS.get(after.state)
        if shim is None or target is None or before.state not in _FROM:
            return
        if before.state is after.state or shim.split:
            return
        if shim.lied_at_s >= since_s - T_QUERY_S:
            return  # A lie may have been on its way while the change before was written.
        if shim.was(target, since_s):
            return
        self.fail(
            f"I11 {after.id}: {before.state} -> {after.state}, but it was never {target} since the"
            f" change before, {self.world.now_s - since_s:.3f} s ago"
        )
