"""I9: what was answered OK is on disk, outlives kills and power cuts, and is seen by readers."""

from __future__ import annotations

from cubelet.core.model import Record
from cubelet.engine.ports import Change
from tests.sim.checkers.base import Answer, Asked, Checker, Facts

_WRITES = frozenset({"create", "pause", "resume", "commit", "rollback"})


class Durable(Checker):
    """Remembers the newest revision that somebody was told of."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._told: dict[str, Record] = {}
        self._let_go: set[str] = set()
        #: Those whose record was lost: the answers of before are given again, and say no more.
        self._lost: set[str] = set()

    def written(self, before: Record | None, change: Change) -> None:
        if before is not None and (change.record is None or change.record.tombstone_at_ns):
            self._let_go.add(before.incarnation)

    def answered(self, asked: Asked, answer: Answer) -> None:
        record = answer.record
        if not answer.ok or asked.kind not in _WRITES or record is None:
            return
        if record.incarnation in self._lost and not record.remade_why:
            return
        known = self._told.get(record.incarnation)
        if known is None or known.revision < record.revision:
            self._told[record.incarnation] = record
        self._check(record)
        self._check_snapshot(asked, answer)
        engine = self.facts.agent.engine
        if engine is None or record.incarnation in self._let_go:
            return
        seen = next((one for one in engine.view() if one.id == record.id), None)
        if seen is None or (
            seen.incarnation == record.incarnation and seen.revision < record.revision
        ):
            self.fail(f"I9 {record.id}: readers do not see what was answered")

    def died(self, *, power: bool) -> None:
        for record in self._told.values():
            self._check(record)

    def lost(self, sandbox_id: str) -> None:
        for incarnation, record in list(self._told.items()):
            if sandbox_id in {record.id, ""}:
                del self._told[incarnation]
        self._lost |= {
            shim.incarnation for shim in self.facts.shims() if sandbox_id in {shim.id, ""}
        }

    def _check_snapshot(self, asked: Asked, answer: Answer) -> None:
        if asked.kind != "commit":
            return
        images = [name for one in self.facts.runtimes.values() for name in one.host.images]
        kept = answer.snapshot_id in self.facts.disk.tables.snapshots
        if not kept or answer.snapshot_id not in images:
            self.fail(f"I9 {asked.sandbox_id}: snapshot {answer.snapshot_id!r} is not kept")

    def _check(self, told: Record) -> None:
        if told.incarnation in self._let_go:
            return
        written = self.facts.disk.tables.records.get(told.id)
        if written is None or written.incarnation != told.incarnation:
            self.fail(f"I9 {told.id}: was answered OK and is not on disk")
        elif written.revision < told.revision:
            self.fail(
                f"I9 {told.id}: revision {told.revision} was answered OK,"
                f" {written.revision} is on disk"
            )
