"""I1 no stuck, I3 bounded divergence: what the view says wrongly, it does not say for long."""

from __future__ import annotations

from collections.abc import Sequence

from cubelet.core.model import OpKind, Record, State
from cubelet.engine.ports import Change
from tests.sim.checkers.base import (
    RELIST_S,
    SLACK_S,
    T_QUERY_S,
    T_SNAPSHOT_S,
    T_STUCK_S,
    Checker,
    Facts,
)
from tests.sim.shim import Shim

#: From when the shim can be asked again, and tells the truth, until the view has it.
FOLLOWED_S = RELIST_S + T_QUERY_S + SLACK_S
SHOWN = {State.RUNNING: "RUNNING", State.PAUSED: "PAUSED", State.EXITED: "ENDED"}


class Stuck(Checker):
    """Looks once a second."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._opened: dict[tuple[str, int], float] = {}
        #: Since when the record is as it is, and the sandbox too.
        self._changed: dict[str, float] = {}

    def written(self, before: Record | None, change: Change) -> None:
        record = change.record
        if record is None:
            return
        self._changed[record.incarnation] = self.world.now_s
        if record.open is not None:
            self._opened.setdefault((record.incarnation, record.epoch), self.world.now_s)

    def sampled(self, view: Sequence[Record]) -> None:
        for record in view:
            shim = self.facts.shim(record)
            if shim is None or shim.busy or shim.split or record.state is State.DELETED:
                continue
            if record.open is not None:
                self._check_open(record, shim)
            else:
                self._check_followed(record, shim)

    def _check_open(self, record: Record, shim: Shim) -> None:
        op = record.open
        if op is None or op.kind is OpKind.CREATE:
            return
        now_s = self.world.now_s
        opened_s = self._opened.setdefault((record.incarnation, record.epoch), now_s)
        snapshot = op.kind in {OpKind.COMMIT, OpKind.ROLLBACK}
        patience_s = 2 * T_SNAPSHOT_S if snapshot else T_STUCK_S
        fair_s = max(self.facts.settled_since_s(shim), opened_s + patience_s)
        if now_s > fair_s + FOLLOWED_S:
            self.fail(
                f"I1 {record.id} has been {op.kind} (call {op.call}) for {now_s - opened_s:.1f} s,"
                f" with a shim that could be asked for {now_s - shim.honest_since_s:.1f} s"
            )

    def _check_followed(self, record: Record, shim: Shim) -> None:
        shown = SHOWN.get(record.state)
        if shown is None or shown == shim.truth or not shim.history:
            return
        now_s = self.world.now_s
        since_s = max(
            self.facts.settled_since_s(shim),
            shim.history[-1].at_s,
            self._changed.get(record.incarnation, 0.0),
        )
        if now_s > since_s + FOLLOWED_S:
            self.fail(f"I3 {record.id} is shown {shown} and has been {shim.truth} since {since_s}")
