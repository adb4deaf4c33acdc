"""I21: shim and second witness in disagreement are shown, and nobody goes past the shim unasked."""

from __future__ import annotations

from collections.abc import Sequence

from cubelet.core.model import Record, State
from tests.sim.checkers.base import (
    RELIST_S,
    SLACK_S,
    T_QUERY_S,
    T_SETTLE_S,
    Asked,
    Checker,
    Facts,
)
from tests.sim.shim import Shim

#: Seen in two rounds that are far enough apart.
SHOWN_S = 2 * RELIST_S + T_SETTLE_S + T_QUERY_S + SLACK_S


class Divergence(Checker):
    """Only freezers can be split."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._repairs: set[str] = set()
        self._idle: dict[str, float] = {}

    def asked(self, asked: Asked) -> None:
        if asked.kind == "repair":
            self._repairs.add(asked.sandbox_id)

    def healing(self, record: Record, shim: Shim | None) -> None:
        traced = record.open is not None or (shim is not None and shim.split_by == "trace")
        if not traced and record.id not in self._repairs:
            self.fail(f"I21 {record.id}: put in agreement past its shim, and nobody asked for it")

    def sampled(self, view: Sequence[Record]) -> None:
        for record in view:
            shim = self.facts.shim(record)
            if shim is None or record.state in {State.DELETED, State.EXITED}:
                continue
            if record.open is not None or not shim.split or shim.busy:
                self._idle[record.incarnation] = self.world.now_s
                continue
            self._check_shown(record, shim)

    def _check_shown(self, record: Record, shim: Shim) -> None:
        since_s = max(
            self.facts.settled_since_s(shim),
            shim.split_at_s,
            self._idle.get(record.incarnation, 0.0),
        )
        shown = record.diverged is not None and record.diverged.shown
        if not shown and self.world.now_s > since_s + SHOWN_S:
            self.fail(f"I21 {record.id}: split since {shim.split_at_s:.1f} s, and not shown")
