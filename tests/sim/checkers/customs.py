"""What callers rely on: I12 preconditions hold, I7 a delete is accepted, I20 dead records do go."""

from __future__ import annotations

from collections.abc import Sequence

from cubelet.core.faults import Reason
from cubelet.core.model import Record, State
from cubelet.engine.ports import Change
from tests.sim.checkers.base import RELIST_S, SLACK_S, Answer, Asked, Checker, Facts

#: Why a delete may fail: the agent could not take it, or not carry it out. Never for the state.
_MAY_FAIL = frozenset(
    {
        Reason.STORE_FAILED,
        Reason.SHUTTING_DOWN,
        Reason.TOO_BUSY,
        Reason.SANDBOX_NOT_FOUND,
        Reason.KEY_REUSED,
        Reason.RUNTIME_REFUSED,
        Reason.RUNTIME_DEADLINE,
        Reason.RUNTIME_LOST,
        Reason.RUNTIME_UNREACHABLE,
        Reason.BUG,
    }
)


class Customs(Checker):
    """Looks at single answers, and at dead records once a second."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._ended: dict[str, float] = {}

    def answered(self, asked: Asked, answer: Answer) -> None:
        fault = answer.fault
        if asked.kind == "delete" and fault is not None and fault.reason not in _MAY_FAIL:
            self.fail(f"I7 {asked.sandbox_id}: its delete was refused: {fault.reason}")
        epoch = asked.expected.epoch
        if not answer.ok or asked.key is not None or answer.record is None or epoch is None:
            return
        if answer.record.epoch not in {epoch, epoch + 1}:
            self.fail(
                f"I12 {asked.sandbox_id}: {asked.kind} expected epoch {epoch} and was done at"
                f" {answer.record.epoch}"
            )

    def written(self, before: Record | None, change: Change) -> None:
        after = change.record
        if after is None:
            return
        if before is None or before.incarnation != after.incarnation or not before.finished_at_ns:
            if after.finished_at_ns:
                self._ended[after.incarnation] = self.world.now_s
        elif not after.tombstone_at_ns and after.leftovers == before.leftovers:
            self.fail(f"I6 {after.id}: its record is dead, and was written again")

    def sampled(self, view: Sequence[Record]) -> None:
        ttl_s = self.facts.agent.policy.dead_ttl_s
        for record in view:
            ended_s = self._ended.get(record.incarnation)
            if record.state is not State.EXITED or ended_s is None:
                continue
            fair_s = max(ended_s, self.facts.agent.up_since_s, self.facts.disk.good_since_s - ttl_s)
            if self.world.now_s > fair_s + ttl_s + 2 * (RELIST_S + SLACK_S):
                self.fail(f"I20 {record.id} ended {self.world.now_s - ended_s:.1f} s ago and stays")
