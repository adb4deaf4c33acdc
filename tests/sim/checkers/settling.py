"""How long operations stay open after their call has failed: figures, not promises."""

from __future__ import annotations

from dataclasses import dataclass, field

from cubelet.core.model import OpKind, Record, State
from cubelet.engine.ports import Change
from tests.sim.calls import ShimCall
from tests.sim.checkers.base import T_OP_S, Checker, Facts
from tests.sim.shim import Shim

_TARGETS = {OpKind.PAUSE: State.PAUSED, OpKind.RESUME: State.RUNNING}


@dataclass(slots=True)
class Times:
    """Seconds, one for each pause or resume that settled after a failure.

    `whole`: from the failure, or the later moment from which on shim, store and agent worked and
    told the truth. The others: from when the shim's own operation was over too. `second`: those
    that the rule lets settle only by two sightings; `beside`: those of a shim whose status does
    not wait for its mutex, so that nothing tells when its operation is over but an event; `store`:
    those that the store refused to write, or was slow with, in between.
    """

    silent: bool = False
    whole: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    second: list[float] = field(default_factory=list)
    store: list[float] = field(default_factory=list)


class Settling(Checker):
    """Fills `times`."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.times = Times(silent=facts.world.swarm.has("no_events"))
        self._calls: dict[tuple[str, int], ShimCall] = {}
        self._failed: dict[tuple[str, int], float] = {}

    def calling(self, record: Record, kind: str, call: ShimCall | None) -> None:
        if call is not None:
            self._calls[record.incarnation, record.epoch] = call

    def called(self, record: Record, call: ShimCall) -> None:
        if call.seen != "ok":
            self._failed[record.incarnation, record.epoch] = self.world.now_s

    def written(self, before: Record | None, change: Change) -> None:
        after = change.record
        op = before.open if before is not None else None
        if before is None or after is None or op is None or op.kind not in _TARGETS:
            return
        shim = self.facts.shim(after)
        call = self._calls.get((after.incarnation, before.epoch))
        if after.open is not None or after.epoch != before.epoch or shim is None or call is None:
            return
        if after.state is State.EXITED:
            return
        failed_s = self._failed.get((after.incarnation, before.epoch))
        if call.seen is None:
            failed_s = call.began_s + T_OP_S
        if failed_s is not None and self.world.now_s > failed_s:
            self._note(op.kind, after, shim, call, failed_s)

    def _note(
        self, kind: OpKind, after: Record, shim: Shim, call: ShimCall, failed_s: float
    ) -> None:
        now_s, times = self.world.now_s, self.times
        fair_s = max(failed_s, self.facts.settled_since_s(shim))
        if max(shim.lied_at_s, shim.split_end_s) >= call.began_s or shim.split:
            return
        times.whole.append(now_s - fair_s)
        if after.state is not _TARGETS[kind] and call.seen != "failed ANSWERED":
            times.second.append(now_s - fair_s)
        elif self.facts.disk.good_since_s > call.began_s:
            times.store.append(now_s - fair_s)
        elif call.over_s is not None:
            kept = times.first if shim.host.status_waits else times.beside
            kept.append(now_s - max(fair_s, call.over_s))
