"""I3 at a gap: where the agent learns that it may have missed something, it looks at once."""

from __future__ import annotations

from collections.abc import Sequence

from cubelet.core.model import Record
from cubelet.engine.ports import Change
from tests.sim.checkers.base import SLACK_S, T_QUERY_S, Checker, Facts
from tests.sim.checkers.stuck import SHOWN

#: Less than a round, so that the round alone cannot keep it.
LOOKED_S = T_QUERY_S + SLACK_S


class Gaps(Checker):
    """What had changed a moment before the gap, with a shim that could be asked, is known soon."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._gap_s: float | None = None
        self._changed: dict[str, float] = {}

    def gap(self) -> None:
        self._gap_s = self.world.now_s

    def died(self, *, power: bool) -> None:
        self._gap_s = None

    def written(self, before: Record | None, change: Change) -> None:
        if change.record is not None:
            self._changed[change.record.incarnation] = self.world.now_s

    def sampled(self, view: Sequence[Record]) -> None:
        gap_s = self._gap_s
        if gap_s is None or self.world.now_s < gap_s + LOOKED_S:
            return
        self._gap_s = None
        for record in view:
            self._check(record, gap_s - SLACK_S)

    def _check(self, record: Record, gap_s: float) -> None:
        shim, shown = self.facts.shim(record), SHOWN.get(record.state)
        if shim is None or shown is None or record.open is not None or not shim.history:
            return
        if shim.busy or shim.split or shown == shim.truth or shim.history[-1].at_s > gap_s:
            return
        fair_s = max(self.facts.settled_since_s(shim), self._changed.get(record.incarnation, 0.0))
        if fair_s < gap_s:
            self.fail(f"I3 {record.id} is shown {shown} and is {shim.truth}, long after a gap")
