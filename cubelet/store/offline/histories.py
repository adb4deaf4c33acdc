"""What is wrong with the journal: its numbers, its chain, and the history of each sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cubelet.core.inputs import Cause
from cubelet.core.model import Record, State
from cubelet.store.offline.problem import RESTORE, Problem
from cubelet.store.offline.rows import JournalRow

#: Nothing is decided by the journal, so that a damaged one stops nobody; it is evidence.
_EVIDENCE = f"{RESTORE}, or go on: nothing is decided by the journal; keep the file as it is"
_LOST = f"{RESTORE}, or start the agent and compare what it lists with what should be there"
_CAUSES = frozenset(Cause)
_STATES = frozenset(State)


class Histories:
    """Follows the lines of the journal, oldest first."""

    def __init__(self, meta: Mapping[str, str]) -> None:
        self._meta = meta
        self._before: JournalRow | None = None
        #: The newest line of each sandbox.
        self._last: dict[str, JournalRow] = {}
        self._trimmed = False

    def line(self, line: JournalRow) -> Iterator[Problem]:
        """Take the next line."""
        where = f"journal line {line.seq}"
        for what in (*self._place(line), *_words(line), *self._history(line)):
            yield Problem(where, what, _EVIDENCE)
        self._before = line
        self._last[line.sandbox_id] = line

    def end(self, records: Mapping[str, Record | None]) -> Iterator[Problem]:
        """Tell where the journal does not end in the records; None is one that cannot be read."""
        for sandbox_id, record in records.items():
            line = self._last.get(sandbox_id)
            if record is not None and (line is not None or not self._trimmed):
                yield from _ending(record, line)
        for sandbox_id, line in self._last.items():
            # A deletion's last line is written with the removal of the record.
            if sandbox_id not in records and line.after != State.DELETED:
                what = f"it is {line.after} by journal line {line.seq}, and has no record"
                yield Problem(f"sandbox {sandbox_id}", what, _LOST)

    def _place(self, line: JournalRow) -> Iterator[str]:
        if self._before is None:
            self._trimmed = line.seq > 1
        elif line.seq != self._before.seq + 1:
            yield f"it follows line {self._before.seq}, those between are missing"

    def _history(self, line: JournalRow) -> Iterator[str]:
        last = self._last.get(line.sandbox_id)
        if last is None or last.incarnation != line.incarnation:
            last = None
        begins = line.before is None
        if last is None:
            if not begins and not self._trimmed:
                yield f"the history of sandbox {line.sandbox_id} begins with {line.before}"
            elif begins and line.revision != 1 and line.cause != Cause.RECOVERY:
                yield f"the history of sandbox {line.sandbox_id} begins at revision {line.revision}"
        elif begins:
            # A record that was lost is made again from what is found on the host.
            if line.cause != Cause.RECOVERY:
                yield f"the history of sandbox {line.sandbox_id} begins once more"
        else:
            if line.revision != last.revision + 1:
                yield f"revision {line.revision} follows {last.revision} of line {last.seq}"
            if line.before != last.after:
                yield f"it begins at {line.before}, line {last.seq} ended at {last.after}"


def _words(line: JournalRow) -> Iterator[str]:
    if line.cause not in _CAUSES:
        yield f"its cause {line.cause!r} is not known"
    for state in (line.before, line.after):
        if state is not None and state not in _STATES:
            yield f"its state {state!r} is not known"


def _ending(record: Record, line: JournalRow | None) -> Iterator[Problem]:
    where = f"sandbox {record.id}"
    if line is None:
        yield Problem(where, "the journal has no line of it", _EVIDENCE)
        return
    told = (line.incarnation, line.revision, line.after)
    if told != (record.incarnation, record.revision, record.state):
        what = (
            f"its record is {record.state} at revision {record.revision}, the journal ends at "
            f"{line.after}, revision {line.revision} (line {line.seq})"
        )
        yield Problem(where, what, _LOST)
