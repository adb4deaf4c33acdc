"""The store's twin in memory: same promises but the disk, for tests and the simulator."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from cubelet.core.effects import Entry
from cubelet.core.model import Record
from cubelet.engine.ports import Change, Loaded
from cubelet.store.journal import ENTRIES_MAX
from cubelet.store.problems import closed


class MemoryStore:
    """Implements the engine's Store. `reopened` is what an agent finds after a restart."""

    def __init__(self, *, entries_max: int = ENTRIES_MAX) -> None:
        self._records: dict[str, Record] = {}
        self._entries: deque[Entry] = deque(maxlen=entries_max)
        self._closed = False

    def reopened(self) -> MemoryStore:
        """A new store over the same contents, as after a kill -9 or a clean stop."""
        other = MemoryStore()
        other._records, other._entries = self._records, self._entries
        self._closed = True
        return other

    async def load(self) -> Loaded:
        """Everything there is."""
        self._check_open()
        return Loaded(records=tuple(self._records[key] for key in sorted(self._records)))

    async def commit(self, change: Change) -> None:
        """Apply one change whole, at once."""
        self._check_open()
        if change.record is None:
            self._records.pop(change.id, None)
        else:
            self._records[change.id] = change.record
        self._entries.extend(change.entries)

    async def journal(self, sandbox_id: str, *, limit: int) -> Sequence[Entry]:
        """The newest `limit` entries of one sandbox, oldest first."""
        self._check_open()
        mine = [entry for entry in self._entries if entry.sandbox_id == sandbox_id]
        return tuple(mine[-limit:] if limit > 0 else ())

    async def close(self) -> None:
        """Refuse everything from now on."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise closed()
