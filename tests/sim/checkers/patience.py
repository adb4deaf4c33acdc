"""I20 and the converge rules' patience: nothing is given up too early, by any clock.

Wall clocks jump in many runs; all bounds here and elsewhere are of true time. What a jump may do
is to make the agent look at its sandboxes sooner.
"""

from __future__ import annotations

from cubelet.core.faults import Reason
from cubelet.core.inputs import Cause
from cubelet.core.model import OpKind, Record, State
from cubelet.engine.ports import Change
from tests.sim.calls import ShimCall
from tests.sim.checkers.base import (
    T_OP_S,
    T_SETTLE_S,
    T_SNAPSHOT_S,
    T_STUCK_S,
    Answer,
    Asked,
    Checker,
    Facts,
)
from tests.sim.shim import Shim

_LIMITS = {
    "pause": T_OP_S,
    "resume": T_OP_S,
    "commit": T_SNAPSHOT_S,
    "rollback": T_SNAPSHOT_S,
}
_BACK = {OpKind.PAUSE: State.RUNNING, OpKind.RESUME: State.PAUSED}


class Patience(Checker):
    """Knows when each call began, and when the agent saw it end."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._calls: dict[tuple[str, int], ShimCall] = {}
        self._begun: dict[tuple[str, str], list[float]] = {}
        self._healed: set[tuple[str, int]] = set()
        self._seen: dict[tuple[str, int], float] = {}

    def calling(self, record: Record, kind: str, call: ShimCall | None) -> None:
        if call is not None:
            self._calls[record.incarnation, record.epoch] = call
            self._begun.setdefault((record.id, kind), []).append(call.began_s)

    def healing(self, record: Record, shim: Shim | None) -> None:
        self._healed.add((record.incarnation, record.epoch))

    def called(self, record: Record, call: ShimCall) -> None:
        self._seen[record.incarnation, record.epoch] = self.world.now_s

    def answered(self, asked: Asked, answer: Answer) -> None:
        late = answer.fault is not None and answer.fault.reason is Reason.RUNTIME_DEADLINE
        limit_s = _LIMITS.get(asked.kind)
        if not late or limit_s is None:
            return
        begun = self._begun.get((asked.sandbox_id, asked.kind), [])
        if not any(self.world.now_s - at_s >= limit_s - 0.001 for at_s in begun):
            self.fail(f"I20 {asked.sandbox_id}: its {asked.kind} is called overdue too early")

    def written(self, before: Record | None, change: Change) -> None:
        after = change.record
        if before is None or after is None or before.incarnation != after.incarnation:
            return
        expired = any(entry.cause is Cause.SWEEP for entry in change.entries)
        if expired and after.tombstone_at_ns and not before.tombstone_at_ns:
            self._check_ttl(after)
        op = before.open
        if op is not None and after.open is None and after.state is _BACK.get(op.kind):
            self._check_settled(before)

    def _check_ttl(self, after: Record) -> None:
        shim = self.facts.shim(after)
        if shim is None or not shim.history:
            return
        kept_s = self.world.now_s - shim.history[-1].at_s
        ttl_s = self.facts.agent.policy.dead_ttl_s
        if kept_s < ttl_s - 0.001:
            self.fail(f"I20 {after.id}: its dead record goes after {kept_s:.1f} s, not {ttl_s}")

    def _check_settled(self, before: Record) -> None:
        """Not reached: only when the call cannot happen any more, or is past all patience."""
        made = (before.incarnation, before.epoch)
        call, now_s = self._calls.get(made), self.world.now_s
        if call is None or call.over or made in self._healed:
            return
        if now_s - self.facts.intended_s(before) >= T_STUCK_S - 0.001:
            return
        if call.life == self.world.loop.life and call.seen is None:
            self.fail(
                f"I1 {before.id}: its {call.kind} is given up after {now_s - call.began_s:.1f} s,"
                " and may still happen"
            )
        # A new agent knows of it from its load on; one that only stood still knew before.
        lost_s = self._seen.get(made, self.facts.disk.loaded_s)
        if call.life != self.world.loop.life:
            lost_s = self.facts.disk.loaded_s
        if now_s - lost_s < T_SETTLE_S - 0.1:
            self.fail(f"I1 {before.id}: its lost {call.kind} is given up by one look")
