"""I5 no end without evidence, I6 an end is an end, I7 deletion wins."""

from __future__ import annotations

from collections.abc import Sequence

from cubelet.core.model import Record, State
from cubelet.engine.ports import Change
from tests.sim.checkers.base import Answer, Asked, Checker, Facts


class Endings(Checker):
    """Knows which sandboxes have really ended, and whose deletion somebody asked for."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._over: dict[str, str] = {}
        self._deletes: set[str] = set()

    def asked(self, asked: Asked) -> None:
        if asked.kind == "delete":
            self._deletes.add(asked.sandbox_id)

    def written(self, before: Record | None, change: Change) -> None:
        after = change.record
        if after is None:
            self._check_forgotten(before)
            return
        same = before is not None and before.incarnation == after.incarnation
        if same and before is not None and _rank(after) < _rank(before):
            self.fail(f"I6 {after.id}: {before.state} -> {after.state}")
        if same and before is not None and before.leftovers and not after.leftovers:
            self._check_swept(after)
        if after.finished_at_ns and not (same and before is not None and before.finished_at_ns):
            self._check_ended(after)
        if after.tombstone_at_ns and not (same and before is not None and before.tombstone_at_ns):
            self._check_deleted(before, after)
        if after.tombstone_at_ns:
            self._over[after.incarnation] = "deleted"
        elif self._over.get(after.incarnation) == "deleted":
            self.fail(f"I7 {after.id}: live again after its deletion was accepted")

    def destroying(self, record: Record) -> None:
        written = self.facts.disk.tables.records.get(record.id)
        mine = written is not None and written.incarnation == record.incarnation
        if mine and written is not None and not written.tombstone_at_ns and not written.leftovers:
            self.fail(f"I7 {record.id}: removed without a deletion on disk")

    def sampled(self, view: Sequence[Record]) -> None:
        for record in view:
            if self._over.get(record.incarnation) == "deleted" and not record.tombstone_at_ns:
                self.fail(f"I7 {record.id}: shown {record.state} after its deletion")

    def answered(self, asked: Asked, answer: Answer) -> None:
        if asked.kind != "delete" or not answer.ok:
            return
        for shim in self.facts.shims():
            born_before = shim.born_s <= asked.first_s
            if shim.id == asked.sandbox_id and not shim.gone and born_before:
                self.fail(f"I7 {shim.id}: its delete was answered OK, and it is still there")

    def died(self, *, power: bool) -> None:
        """What was not on disk yet may be undone; what was, is known by `written`."""
        if power:
            self._over.clear()

    def lost(self, sandbox_id: str) -> None:
        """An end, or a deletion, that was only there is forgotten."""
        for shim in self.facts.shims():
            if sandbox_id in {shim.id, ""}:
                self._over.pop(shim.incarnation, None)

    def _check_ended(self, after: Record) -> None:
        shim = self.facts.shim(after)
        if shim is not None and shim.alive:
            self.fail(f"I5 {after.id}: EXITED, but it lives and is {shim.truth}")

    def _check_swept(self, after: Record) -> None:
        shim = self.facts.shim(after)
        if shim is not None and not shim.cleared:
            self.fail(f"I7 {after.id}: nothing is said to be left of it, and it is not removed")

    def _check_deleted(self, before: Record | None, after: Record) -> None:
        shim = self.facts.shim(after)
        created = before is None or before.state is not State.CREATED
        wanted = after.id in self._deletes or after.finished_at_ns or not created
        if shim is not None and shim.alive and not wanted:
            self.fail(f"I7 {after.id}: deleted, and nobody asked for that")

    def _check_forgotten(self, before: Record | None) -> None:
        if before is None:
            return
        shim = self.facts.shim(before)
        if shim is not None and not shim.gone:
            self.fail(f"I7 {before.id}: forgotten, and its shim is still there")


def _rank(record: Record) -> int:
    if record.tombstone_at_ns:
        return 2
    return 1 if record.finished_at_ns else 0
