"""I8 a failure is reported and OK is true, I17 every request is answered in its time."""

from __future__ import annotations

from collections.abc import Sequence

from cubelet.core.faults import Reason
from cubelet.core.model import Record
from tests.sim.calls import ShimCall
from tests.sim.checkers.base import (
    SLACK_S,
    T_CREATE_S,
    T_DESTROY_S,
    T_HEAL_S,
    T_OP_S,
    T_QUERY_S,
    T_SNAPSHOT_S,
    Answer,
    Asked,
    Checker,
    Facts,
)
from tests.sim.shim import Shim

_BOUNDS = {
    "create": T_CREATE_S + T_DESTROY_S,
    "delete": T_CREATE_S + T_DESTROY_S,
    "pause": T_OP_S + T_QUERY_S,
    "resume": T_OP_S + T_QUERY_S,
    "commit": T_SNAPSHOT_S + T_QUERY_S,
    "rollback": T_SNAPSHOT_S + T_QUERY_S,
    "repair": T_HEAL_S + T_QUERY_S,
    "get": T_QUERY_S,
    "reconcile": T_QUERY_S,
    "forecast": T_QUERY_S,
    "list": 0.0,
    "explain": 0.0,
    "journal": 0.0,
}
_TARGETS = {"pause": "PAUSED", "resume": "RUNNING"}


class Answers(Checker):
    """Compares each answer with what the sandbox was while it was being made."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._waiting: dict[Asked, None] = {}
        self._failed: set[tuple[str, int]] = set()

    def asked(self, asked: Asked) -> None:
        self._waiting[asked] = None

    def called(self, record: Record, call: ShimCall) -> None:
        took_s = self.world.now_s - max(call.began_s, self.facts.agent.up_since_s)
        late = took_s > T_SNAPSHOT_S + SLACK_S
        if late or (call.seen or "").startswith("failed"):
            self._failed.add((record.incarnation, record.epoch))

    def died(self, *, power: bool) -> None:
        self._failed.clear()

    def answered(self, asked: Asked, answer: Answer) -> None:
        self._waiting.pop(asked, None)
        if answer.fault is not None and answer.fault.reason is Reason.BUG:
            self._check_bug(asked, answer)
        record = answer.record
        if not answer.ok or record is None or asked.kind in {"get", "reconcile"}:
            return
        if (record.incarnation, record.epoch) in self._failed and asked.kind in _TARGETS:
            self.fail(f"I8 {record.id}: the call of its {asked.kind} failed, the answer is OK")
        shim = self.facts.shim(record)
        if shim is not None:
            self._check_true(asked, record, shim)

    def sampled(self, view: Sequence[Record]) -> None:
        now_s = self.world.now_s
        for asked in self._waiting:
            fair_s = max(asked.at_s, self.facts.agent.up_since_s, self.facts.disk.good_since_s)
            if now_s > fair_s + _BOUNDS[asked.kind] + 2 * SLACK_S:
                self.fail(
                    f"I17 {asked.kind} of {asked.sandbox_id} was asked {now_s - asked.at_s:.1f} s"
                    " ago and is not answered"
                )

    def _check_true(self, asked: Asked, record: Record, shim: Shim) -> None:
        target = _TARGETS.get(asked.kind)
        if target is None or shim.lied_at_s >= asked.first_s:
            return
        if not shim.was(target, asked.first_s):
            self.fail(f"I8 {record.id}: {asked.kind} was answered OK, it was never {target}")

    def _check_bug(self, asked: Asked, answer: Answer) -> None:
        """Only what a runtime may never raise is reported so."""
        if answer.fault is not None and "adapter" not in answer.fault.message:
            self.fail(f"BUG {asked.kind} of {asked.sandbox_id}: {answer.fault.message}")
