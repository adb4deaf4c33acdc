"""I23: a store that refuses changes is shown as such, and no longer than that."""

from __future__ import annotations

from collections.abc import Sequence

from cubelet.core.conditions import ConditionKind
from cubelet.core.model import Record
from tests.sim.checkers.base import SLACK_S, Checker, Facts

#: Written out, so that a wrong constant is found too: between two tries of a store that refuses.
_PROBE_S = 2.0
#: A try that came too early, one with no refusal since the one before, and a sample.
_GOES_S = 2 * _PROBE_S + SLACK_S


class Degraded(Checker):
    """Reads what the node says of itself, once a second."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._seen_s = -1.0

    def sampled(self, view: Sequence[Record]) -> None:
        engine = self.facts.agent.engine
        assert engine is not None  # Somebody has just read its view.
        kinds = {condition.kind for condition in engine.status().conditions}
        if ConditionKind.DEGRADED_STORE in kinds:
            self._check_reason()
            self._seen_s = self.world.now_s
        else:
            self._check_nothing_hidden()

    def _check_reason(self) -> None:
        disk, agent = self.facts.disk, self.facts.agent
        if disk.refused_s < agent.begun_s:
            self.fail("I23 the store counts as degraded, and has refused nothing to this agent")
        good_s = self.world.now_s - max(disk.good_since_s, disk.refused_s, agent.up_since_s)
        if good_s > _GOES_S:
            self.fail(f"I23 the store has taken changes for {good_s:.1f} s, and counts as degraded")

    def _check_nothing_hidden(self) -> None:
        """It is shown for a while after each refusal, so that one of the samples sees it."""
        refused_s = self.facts.disk.refused_s
        since_s = max(self._seen_s, self.facts.agent.begun_s, self.facts.agent.up_since_s)
        if refused_s > since_s and self.world.now_s > refused_s + SLACK_S:
            self.fail("I23 a change was refused by the store, and that is not shown")
