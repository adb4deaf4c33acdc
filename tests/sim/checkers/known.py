"""I2, I9 after the store was lost: nothing that is here is silently absent, and all is soon known.

What lies here is shown, or listed as unreadable with the reason, at every moment in which the agent
serves. A shim that can be asked brings its sandbox back within a round.
"""

from __future__ import annotations

from collections.abc import Sequence

from cubelet.core.bindings import CommitPlan
from cubelet.core.model import Record
from cubelet.engine.ports import Change
from shimclient.fake.memory import Image
from tests.sim.checkers.base import RELIST_S, SLACK_S, T_QUERY_S, Checker, Facts
from tests.sim.vm import Vm

#: From when its shim can be asked, and tells the truth.
KNOWN_S = RELIST_S + T_QUERY_S + SLACK_S


class Known(Checker):
    """Looks once a second."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        #: The images of catalogs that were lost: somebody may want them, so they stay as they are.
        self._images: dict[int, Image] = {}
        #: All that ever were in a catalog. An attempt that came to nothing is nobody's.
        self._catalogued: set[str] = set()
        self._unknown_s: dict[str, float] = {}

    def written(self, before: Record | None, change: Change) -> None:
        self._catalogued.update(snapshot.id for snapshot in change.snapshots)

    def lost(self, sandbox_id: str) -> None:
        if sandbox_id:
            return
        for runtime in self.facts.runtimes.values():
            for name, image in runtime.host.images.items():
                if name in self._catalogued:
                    self._images[id(image)] = image

    def committing(self, shim: Vm, plan: CommitPlan, *_: object) -> None:
        old = shim.host.images.get(plan.snapshot_id)
        if old is not None and id(old) in self._images:
            self.fail(f"I9 {plan.snapshot_id}: a snapshot of the lost catalog is overwritten")

    def sampled(self, view: Sequence[Record]) -> None:
        engine = self.facts.agent.engine
        if engine is None:
            return
        shown = {record.incarnation for record in view}
        unreadable = engine.status().unreadable
        for shim in self.facts.shims():
            if shim.cleared or shim.incarnation in shown:
                self._unknown_s.pop(shim.incarnation, None)
                continue
            if shim.id not in unreadable:
                self.fail(f"I2 {shim.id}: it is here, and neither shown nor listed as unreadable")
            first_s = self._unknown_s.setdefault(shim.incarnation, self.world.now_s)
            fair_s = max(first_s, self.facts.settled_since_s(shim))
            if not shim.busy and self.world.now_s > fair_s + KNOWN_S:
                self.fail(f"I2 {shim.id}: its shim can be asked, and nobody knows what it is")
