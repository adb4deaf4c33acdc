"""I2: when all is well for long enough, view, shim and disk say the same; nothing is left over."""

from __future__ import annotations

from collections.abc import Sequence

from cubelet.core.model import Record, State
from tests.sim.checkers.base import Checker

_SHOWN = {State.RUNNING: "RUNNING", State.PAUSED: "PAUSED", State.EXITED: "ENDED"}


class Quiescence(Checker):
    """Looks once, at the end of the calm."""

    def quiet(self, view: Sequence[Record]) -> None:
        written = self.facts.disk.tables.records
        if {record.id for record in view} != set(written):
            self.fail(f"I2 the view has {[one.id for one in view]}, the disk {list(written)}")
        for record in view:
            self._check(record, written[record.id])
        known = {record.incarnation for record in view}
        for shim in self.facts.shims():
            if not shim.gone and shim.incarnation not in known:
                self.fail(f"I7 {shim.id}: no record, and its shim is still there")

    def _check(self, seen: Record, written: Record) -> None:
        if seen.open is not None or seen.state is State.DELETED:
            self.fail(f"I2 {seen.id} is still {seen.state} at the end of the calm: {seen.open}")
        if (seen.state, seen.revision) != (written.state, written.revision):
            self.fail(f"I2 {seen.id} is shown {seen.state} and written {written.state}")
        if seen.bindings != written.bindings:
            self.fail(f"I2 {seen.id}: bindings differ between memory and disk")
        shim = self.facts.shim(seen)
        if shim is None or shim.split:
            return
        if _SHOWN.get(seen.state) != shim.truth:
            self.fail(f"I2 {seen.id} is shown {seen.state} and is {shim.truth}")
