"""What is wrong with the journal: its numbers, its chain, and the history of each sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cubelet.core.inputs import Cause
from cubelet.core.model import Record, State
from cubelet.store import chain, meta
from cubelet.store.offline.problem import RESTORE, Problem
from cubelet.store.offline.rows import JournalRow, columns_of

#: Nothing is decided by the journal, so that a damaged one stops nobody; it is evidence.
_EVIDENCE = f"{RESTORE}, or go on: nothing is decided by the journal; keep the file as it is"
_LOST = f"{RESTORE}, or start the agent and compare what it lists with what should be there"
#: The format that had no chain and no anchor.
_UNCHAINED = "1"
_CAUSES = frozenset(Cause)
_STATES = frozenset(State)


class Histories:
    """Follows the lines of the journal, oldest first, once `facts` has all that meta says."""

    def __init__(self, facts: Mapping[str, str]) -> None:
        self._facts = facts
        #: Number and hash of the line before; at first of the last one that was dropped.
        self._before: tuple[int, str] | None = None
        #: The newest line of each sandbox.
        self._last: dict[str, JournalRow] = {}
        self._trimmed = False

    def line(self, line: JournalRow) -> Iterator[Problem]:
        """Take the next line."""
        where = f"journal line {line.seq}"
        for what in (*self._place(line), *_words(line), *self._history(line)):
            yield Problem(where, what, _EVIDENCE)
        self._before = line.seq, line.hash
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
            try:
                self._before = self._anchor(line)
            except ValueError:
                yield f"meta says {self._facts[meta.ANCHOR]!r} of the line before it"
                return
            self._trimmed = self._before[0] > 0
        number, hash_ = self._before
        if line.seq != number + 1:
            yield f"it follows line {number}, those between are missing"
        elif self._chained and chain.link(hash_, columns_of(line)) != line.hash:
            yield "its hash does not fit: it was changed, or the hash of the line before it was"

    def _anchor(self, line: JournalRow) -> tuple[int, str]:
        if self._chained:
            return chain.parse_anchor(self._facts.get(meta.ANCHOR))
        return line.seq - 1, chain.START

    @property
    def _chained(self) -> bool:
        return self._facts.get(meta.FORMAT) != _UNCHAINED

    def _history(self, line: JournalRow) -> Iterator[str]:
        last = self._last.get(line.sandbox_id)
        if last is not None and last.incarnation != line.incarnation:
            last = None
        if line.before is None:
            yield from _beginning(line, last)
        elif last is not None:
            if line.revision != last.revision + 1:
                yield f"revision {line.revision} follows {last.revision} of line {last.seq}"
            if line.before != last.after:
                yield f"it begins at {line.before}, line {last.seq} ended at {last.after}"
        elif not self._trimmed:
            yield f"the history of sandbox {line.sandbox_id} begins with {line.before}"


def _beginning(line: JournalRow, last: JournalRow | None) -> Iterator[str]:
    """What is wrong with a first line: that of a create, or of a record that was made anew.

    One that was lost and is made anew from what is found on the host has numbers above all that it
    had before.
    """
    if line.after != State.CREATED:
        if last is not None and line.revision <= last.revision:
            yield f"revision {line.revision} follows {last.revision} of line {last.seq}"
    elif last is not None:
        yield f"the history of sandbox {line.sandbox_id} begins once more"
    elif line.revision != 1:
        yield f"the history of sandbox {line.sandbox_id} begins at revision {line.revision}"


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
