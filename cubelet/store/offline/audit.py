"""What is wrong with the rows of a store, told one by one as they pass, and once they have.

The rows come table by table in the order of `rows.TABLES`, from a file of SQLite or from an export.
What is held against them is what their writers promised: a body is what its checksum and its
columns say, a snapshot's base is in the catalog, the journal has no gap and ends in the records.
"""

from __future__ import annotations

from collections.abc import Iterator

from cubelet.core.model import Record
from cubelet.store import codec
from cubelet.store.offline.histories import Histories
from cubelet.store.offline.problem import RESTORE, Problem
from cubelet.store.offline.rows import (
    JournalRow,
    MetaRow,
    OperationRow,
    Row,
    SandboxRow,
    SnapshotRow,
    name_of,
)

_ID_STAYS = f"{RESTORE}, or go on: its id stays taken until its shim has told what it is"
_NAME_STAYS = f"{RESTORE}, or go on: nothing is built upon it, and its name stays taken"
_KEY_STAYS = f"{RESTORE}, or go on: the agent refuses the key, and does nothing twice"
_NO_BASE = f"{RESTORE}; restore no snapshot that stands upon the missing one"


class Audit:
    """Follows the rows of one store; `counts` has how many of each table have passed."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.meta: dict[str, str] = {}
        self._snapshots: set[str] = set()
        #: None where the record cannot be read: then nothing is held against it.
        self._records: dict[str, Record | None] = {}
        self._histories = Histories(self.meta)

    def row(self, row: Row) -> Iterator[Problem]:
        """Take the next row, and tell what is wrong with it."""
        table = name_of(row)
        self.counts[table] = self.counts.get(table, 0) + 1
        match row:
            case MetaRow():
                self.meta[row.key] = row.value
            case SnapshotRow():
                yield from self._snapshot(row)
            case SandboxRow():
                yield from self._sandbox(row)
            case OperationRow():
                yield from _operation(row)
            case JournalRow():
                yield from self._histories.line(row)

    def end(self) -> Iterator[Problem]:
        """Tell what only shows when all have passed."""
        return self._histories.end(self._records)

    def _snapshot(self, row: SnapshotRow) -> Iterator[Problem]:
        where = f"snapshot {row.id}"
        try:
            found = codec.decode(row.body, codec.SNAPSHOT)
        except codec.Unreadable as why:
            yield Problem(where, str(why), _NAME_STAYS)
        else:
            columns = (row.id, row.sandbox_id, row.created_at_ns)
            if columns != (found.id, found.sandbox_id, found.created_at_ns):
                yield Problem(where, "its columns are not those of its body", _NAME_STAYS)
            # A snapshot is written after the one it stands upon.
            if found.base_id and found.base_id not in self._snapshots:
                yield Problem(where, f"its base {found.base_id} is not in the catalog", _NO_BASE)
        self._snapshots.add(row.id)

    def _sandbox(self, row: SandboxRow) -> Iterator[Problem]:
        where = f"sandbox {row.id}"
        self._records[row.id] = None
        try:
            found = codec.decode(row.body, codec.RECORD)
        except codec.Unreadable as why:
            yield Problem(where, str(why), _ID_STAYS)
            return
        columns = (row.id, row.incarnation, row.state, row.revision)
        if columns == (found.id, found.incarnation, found.state, found.revision):
            self._records[row.id] = found
        else:
            yield Problem(where, "its columns are not those of its record", _ID_STAYS)


def _operation(row: OperationRow) -> Iterator[Problem]:
    where = f"answer {row.seq} (key {row.key!r} of sandbox {row.sandbox_id})"
    try:
        found = codec.decode(row.body, codec.OUTCOME)
    except codec.Unreadable as why:
        yield Problem(where, str(why), _KEY_STAYS)
        return
    columns = (row.sandbox_id, row.key, row.op_id, row.at_ns)
    if columns != (found.sandbox_id, found.key.value, found.op_id, found.at_ns):
        yield Problem(where, "its columns are not those of its body", _KEY_STAYS)
