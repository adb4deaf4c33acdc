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
        self._check_complete()

    def _check_complete(self) -> None:
        """Only snapshots without a catalog, which wait for people, may keep it from that."""
        disk = self.facts.disk
        if disk.unreadable:
            self.fail(f"I2 nobody knows again what {list(disk.unreadable)} are")
        lost = {name for one in self.facts.runtimes.values() for name in one.host.images}
        if disk.incomplete and not lost - set(disk.tables.snapshots):
            self.fail("I2 everything is known again, and the store does not count as complete")

    def _check(self, seen: Record, written: Record) -> None:
        if seen.leftovers:
            self.fail(f"I7 {seen.id}: what a restart of the host left of it is still there")
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
