"""The catalog of snapshots in memory, and who is about to make one under which name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType

from cubelet.core.bindings import Snapshot
from cubelet.core.faults import Code, Reason, error
from cubelet.core.model import OpKind, Record
from cubelet.core.spec import Spec


class Catalog:
    """What the store has, plus claims: two sandboxes must not write one snapshot at a time.

    A name is claimed while a caller waits, and as long as a commit of it is open.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Snapshot] = {}
        self._waiting: dict[str, str] = {}
        self._open: dict[str, str] = {}
        self._unreadable: set[str] = set()
        self.entries = MappingProxyType(self._entries)

    def add(self, snapshot: Snapshot) -> None:
        """One more, which is on disk."""
        self._entries[snapshot.id] = snapshot

    def block(self, snapshot_id: str) -> None:
        """The name of an entry that cannot be read: nobody's base, and nobody else's name."""
        self._unreadable.add(snapshot_id)

    def names(self) -> set[str]:
        """All that are somebody's: catalogued, about to be, or not to be read."""
        return {*self._entries, *self._unreadable, *self._open.values(), *self._waiting}

    def follow(self, record: Record | None, sandbox_id: str = "") -> None:
        """Note which name the sandbox has a commit open for, if any."""
        owner = record.id if record else sandbox_id
        op = record.open if record else None
        if op is not None and op.kind is OpKind.COMMIT:
            self._open[owner] = op.snapshot_id
        else:
            self._open.pop(owner, None)

    @contextmanager
    def claim(self, snapshot_id: str, sandbox_id: str) -> Iterator[bool]:
        """Hold the name for this sandbox; False where another one has it, and then nothing is held.

        ALREADY_EXISTS where the name is that of an entry which cannot be read.
        """
        if snapshot_id in self._unreadable:
            message = f"snapshot {snapshot_id} exists and cannot be read; choose another name"
            raise error(Code.ALREADY_EXISTS, Reason.SNAPSHOT_EXISTS, message)
        owners = {owner for owner, name in self._open.items() if name == snapshot_id}
        owners.add(self._waiting.get(snapshot_id, sandbox_id))
        if owners != {sandbox_id}:
            yield False
            return
        first = snapshot_id not in self._waiting
        self._waiting[snapshot_id] = sandbox_id
        try:
            yield True
        finally:
            if first:  # Another caller for the same sandbox leaves the claim to whom it is.
                self._waiting.pop(snapshot_id, None)

    def check_origin(self, spec: Spec) -> None:
        """Refuse a create from a snapshot that is not there, or is another runtime's."""
        if not spec.snapshot:
            return
        found = self._entries.get(spec.snapshot)
        if found is None or found.runtime != spec.runtime:
            message = (
                f"no snapshot {spec.snapshot[:80]!r} of runtime {spec.runtime} here; list them"
            )
            raise error(Code.NOT_FOUND, Reason.SNAPSHOT_NOT_FOUND, message)
