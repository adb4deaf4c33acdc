"""I16: a hung shim delays nobody else, nor the start."""

from __future__ import annotations

from cubelet.core.model import Record
from tests.sim.calls import ShimCall
from tests.sim.checkers.base import SLACK_S, T_QUERY_S, Asked, Checker, Facts

_KINDS = frozenset({"pause", "resume", "commit", "rollback"})


class Isolation(Checker):
    """Where agent, store and a sandbox's own shim are well, its call is made at once."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._asked: dict[tuple[str, str], float] = {}

    def asked(self, asked: Asked) -> None:
        if asked.kind in _KINDS:
            self._asked[asked.sandbox_id, asked.kind] = asked.at_s

    def calling(self, record: Record, kind: str, call: ShimCall | None) -> None:
        asked_s = self._asked.get((record.id, kind))
        shim = self.facts.shim(record)
        if asked_s is None or shim is None or call is None:
            return
        well_s = self.facts.settled_since_s(shim) + 2 * T_QUERY_S
        if asked_s > well_s and self.world.now_s - asked_s > SLACK_S:
            self.fail(
                f"I16 {record.id}: its {kind} was made {self.world.now_s - asked_s:.1f} s late"
            )

    def serving(self) -> None:
        took_s = self.world.now_s - self.facts.disk.loaded_s
        stood_still = self.facts.agent.up_since_s > self.facts.disk.loaded_s
        if took_s > SLACK_S and not stood_still:
            self.fail(f"I16 the start took {took_s:.1f} s after the store had been read")
