"""What there is on this host of sandboxes, whether a record owns it or not, and its removal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cubelet.core.model import Record
from cubelet.core.spec import Spec
from cubelet.engine.ports import Trace
from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.kinds import Kind
from cubelet.runtime.note import Note, read_note
from cubelet.runtime.places import place_of
from cubelet.runtime.removal import Remover


@dataclass(frozen=True, slots=True)
class Orphanage:
    """Finds and removes the remains of one kind's sandboxes."""

    kind: Kind
    config: RuntimeConfig
    remover: Remover

    def traces(self) -> Sequence[Trace]:
        """Everything of this kind; blocks for the disk."""
        folder = self.config.state_dir / "sandboxes"
        found = []
        for bundle in sorted(folder.iterdir()) if folder.is_dir() else ():
            note = read_note(place_of(self.config.state_dir, bundle.name))
            record = _record(note) if note else None
            if record is not None and record.spec.runtime == self.kind.name:
                what = (f"bundle {bundle}",)
                found.append(
                    Trace(sandbox_id=bundle.name, runtime=self.kind.name, what=what, record=record)
                )
        return found

    async def clear(self, trace: Trace) -> None:
        """Remove it; raises CallFailed with what is left."""
        note = read_note(place_of(self.config.state_dir, trace.sandbox_id))
        stand_in = Record(
            id=trace.sandbox_id,
            namespace=trace.record.namespace if trace.record else "default",
            incarnation=note.incarnation if note else "",
            spec=Spec(runtime=self.kind.name, args=("",)),
        )
        await self.remover.remove(stand_in)


def _record(note: Note) -> Record | None:
    record: Record | None = getattr(note, "record", None)
    return replace(record, handle=note.handle) if record else None
