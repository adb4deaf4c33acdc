"""The store's twin in memory: same promises but the disk, for tests and the simulator."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from cubelet.core.effects import Entry
from cubelet.core.model import Outcome
from cubelet.engine.ports import Backup, Change, Loaded
from cubelet.store.limits import LIMITS, Limits
from cubelet.store.operations import told_again
from cubelet.store.problems import backup_taken, closed, snapshot_taken


class MemoryStore:
    """Implements the engine's Store, over what `loaded` says was there before.

    `reopened` is what an agent finds after a restart.
    """

    def __init__(self, loaded: Loaded | None = None, *, limits: Limits = LIMITS) -> None:
        loaded = loaded or Loaded()
        self._records = {record.id: record for record in loaded.records}
        self._unreadable = dict(loaded.unreadable)
        self._unreadable_snapshots = loaded.unreadable_snapshots
        self._catalog = {snapshot.id: snapshot for snapshot in loaded.snapshots}
        self._incomplete = loaded.incomplete
        self._entries: list[Entry] = []
        self._outcomes: dict[tuple[str, str], Outcome] = {}
        self._backups: set[str] = set()
        self._limits = limits
        self._closed = False

    def reopened(self) -> MemoryStore:
        """A new store over the same contents, as after a kill -9 or a clean stop."""
        self._closed = False  # For the copy: contents are shared, this is not.
        other = copy.copy(self)
        self._closed = True
        return other

    async def load(self) -> Loaded:
        """Everything there is."""
        self._check_open()
        return Loaded(
            records=tuple(self._records[key] for key in sorted(self._records)),
            unreadable=dict(self._unreadable),
            snapshots=tuple(self._catalog.values()),
            unreadable_snapshots=self._unreadable_snapshots,
            incomplete=self._incomplete,
        )

    async def commit(self, change: Change) -> None:
        """Apply one change whole, at once."""
        self._check_open()
        self._check_names(change)
        self._unreadable.pop(change.id, None)
        if change.record is None:
            self._records.pop(change.id, None)
        else:
            self._records[change.id] = change.record
        self._entries.extend(change.entries)
        self._catalog.update((snapshot.id, snapshot) for snapshot in change.snapshots)
        self._remember(change.outcomes)

    async def journal(self, sandbox_id: str, *, limit: int) -> Sequence[Entry]:
        """The newest `limit` entries of one sandbox, or with "" of all, oldest first."""
        self._check_open()
        asked = [entry for entry in self._entries if sandbox_id in (entry.sandbox_id, "")]
        return tuple(asked[-limit:] if limit > 0 else ())

    async def outcome(self, sandbox_id: str, key: str) -> Outcome | None:
        """What a request with this key was answered."""
        self._check_open()
        return self._outcomes.get((sandbox_id, key))

    async def completed(self) -> None:
        """All sandboxes that live here are known."""
        self._check_open()
        self._incomplete = ""

    async def retain(self, now_ns: int) -> int:
        """Drop what need not be kept any longer; how many that were."""
        self._check_open()
        lines = enumerate((entry.at_ns for entry in self._entries), 1)
        going = self._limits.journal.last_to_go(lines, newest=len(self._entries), now_ns=now_ns)
        del self._entries[:going]
        answers = enumerate((outcome.at_ns for outcome in self._outcomes.values()), 1)
        last = self._limits.outcomes.last_to_go(answers, newest=len(self._outcomes), now_ns=now_ns)
        for name in list(self._outcomes)[:last]:
            del self._outcomes[name]
        return going + last

    async def probe(self) -> None:
        """Nothing can be in the way of a write."""
        self._check_open()

    async def backup(self, name: str) -> Backup:
        """Take the name, and nothing else."""
        self._check_open()
        if name in self._backups:
            raise backup_taken(name)
        self._backups.add(name)
        return Backup(path=f"{name}.db", bytes=0)

    async def close(self) -> None:
        """Refuse everything from now on."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise closed()

    def _check_names(self, change: Change) -> None:
        for snapshot in change.snapshots:
            if snapshot.id in self._catalog or snapshot.id in self._unreadable_snapshots:
                raise snapshot_taken(snapshot.id)

    def _remember(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            name = (outcome.sandbox_id, outcome.key.value)
            if self._outcomes.setdefault(name, outcome) is not outcome:
                told_again(*name)
