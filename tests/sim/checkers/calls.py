"""I12 one runtime call at a time, each with its intent on disk before it, and never twice."""

from __future__ import annotations

from cubelet.core.model import OpKind, Record
from tests.sim.calls import ShimCall
from tests.sim.checkers.base import T_STUCK_S, Checker, Facts
from tests.sim.shim import Shim

_TARGETS = {"pause": "PAUSED", "resume": "RUNNING"}


class OneCall(Checker):
    """Told by the runtime whenever the engine comes to it."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._made: set[tuple[str, int]] = set()

    def calling(self, record: Record, kind: str, call: ShimCall | None) -> None:
        made = (record.incarnation, record.epoch)
        if made in self._made:
            self.fail(f"I12 {record.id}: {kind} of epoch {record.epoch} is called a second time")
        self._made.add(made)
        self._check_intent(record, kind)
        shim = self.facts.shim(record)
        if shim is not None and call is not None:
            self._check_alone(record, shim, call)

    def died(self, *, power: bool) -> None:
        """An epoch that a power cut has taken back may be used again."""
        if power:
            self._made.clear()

    def _check_intent(self, record: Record, kind: str) -> None:
        written = self.facts.disk.tables.records.get(record.id)
        op = written.open if written is not None else None
        if written is not None and written.incarnation == record.incarnation and op is not None:
            if op.kind is OpKind(kind.upper()) and op.epoch == record.epoch:
                return
            if written.epoch > record.epoch:
                self.fail(f"I12 {record.id}: {kind} is called for an epoch that is over")
        if written is not None and written.tombstone_at_ns:
            return  # A delete that came while the call was on its way wins, and removes it.
        self.fail(f"I12 {record.id}: {kind} is called without its intent on disk")

    def _check_alone(self, record: Record, shim: Shim, call: ShimCall) -> None:
        for other in shim.calls:
            recent = self.world.now_s - self.facts.intended_s(other.record) < T_STUCK_S - 0.001
            if other is call or other.life != call.life or other.seen or not recent:
                continue
            target = _TARGETS.get(other.kind)
            if target and (shim.was(target, other.began_s) or shim.lied_at_s >= other.began_s):
                continue
            self.fail(
                f"I12 {record.id}: {call.kind} is called while the {other.kind} of"
                f" {self.world.now_s - other.began_s:.1f} s ago is unsettled"
            )
