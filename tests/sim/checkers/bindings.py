"""I4: no commit on a wrong base, and no binding dropped without a restore."""

from __future__ import annotations

from cubelet.core.bindings import CommitPlan
from cubelet.core.model import OpKind, Record, State
from cubelet.engine.ports import Change
from shimclient.fake.memory import Image, Mode
from tests.sim.calls import ShimCall
from tests.sim.checkers.base import Checker
from tests.sim.vm import Vm

#: As on the compatible wire; written out, so that a wrong constant is found too.
SENTINEL = "invalid-runtime-restore-base"
_INTENTS = frozenset({OpKind.RESUME, OpKind.ROLLBACK})


class BindingsHold(Checker):
    """Compares images with memory, and bindings with the lineage that the memory really has."""

    def committing(self, shim: Vm, plan: CommitPlan, mode: Mode, base: Image | None) -> None:
        if plan.snapshot_id == SENTINEL:
            self.fail(f"I4 {shim.id}: the sentinel is taken for the name of a snapshot")
        if not shim.memory.is_right_base(mode, base):
            self.fail(f"I4 {shim.id}: {mode} commit upon {plan.base_id}, which is not its base")

    def committed(self, shim: Vm, plan: CommitPlan, image: Image) -> None:
        if not shim.memory.holds(image):
            self.fail(f"I4 {shim.id}: a restore of {plan.snapshot_id} would give another memory")

    def calling(self, record: Record, kind: str, call: ShimCall | None) -> None:
        shim = self.facts.shim(record)
        if kind != "resume" or shim is None or shim.host.freezer:
            return
        written = self.facts.disk.tables.records.get(record.id)
        if written is None or written.incarnation != record.incarnation:
            return
        if not _is_sentinel(written):
            self.fail(f"I4 {record.id}: the shim is asked to restore, with valid bindings on disk")
        if self.facts.disk.unsynced(record.id):
            self.fail(f"I4 {record.id}: the shim is asked to restore before the intent is synced")

    def written(self, before: Record | None, change: Change) -> None:
        after = change.record
        if before is None or after is None or before.incarnation != after.incarnation:
            return
        if after.bindings == before.bindings or not _is_sentinel(after):
            return
        op = after.open
        if op is not None and op.kind in _INTENTS and after.epoch > before.epoch:
            self._check_intent(before, op.kind)
            return
        self._check_observed(before, after)

    def _check_intent(self, before: Record, kind: OpKind) -> None:
        shim = self.facts.shim(before)
        if shim is None or kind is OpKind.ROLLBACK:
            return
        if shim.host.freezer:
            self.fail(f"I4 {before.id}: a thaw is no restore, but its bindings were dropped")
        if _is_sentinel(before):
            self.fail(f"I4 {before.id}: bindings invalidated twice for one pause")

    def _check_observed(self, before: Record, after: Record) -> None:
        shim = self.facts.shim(after)
        if shim is None:
            return
        if shim.host.freezer and after.open is None and before.open is None:
            self.fail(f"I4 {after.id}: nothing was restored, but its bindings were dropped")
        seen_to_run = before.state is State.PAUSED and after.state is State.RUNNING
        if shim.host.freezer or seen_to_run or shim.lied_at_s >= 0:
            return
        if _is_sentinel(before):
            self.fail(f"I4 {after.id}: bindings invalidated again without another restore")
        base = shim.host.images.get(before.bindings.runtime.snapshot_id)
        if (
            shim.bound
            and before.bindings.runtime.proven
            and shim.memory.is_right_base(Mode.SOFT_DIRTY, base)
        ):
            self.fail(f"I4 {after.id}: a good binding was dropped without a restore")


def _is_sentinel(record: Record) -> bool:
    bindings = record.bindings
    return bindings.runtime.snapshot_id == bindings.restore.snapshot_id == SENTINEL
