"""All sandboxes of the agent: who drives each, and what readers see of it."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager

from cubelet.core.faults import Code, CubeletError, Reason, error
from cubelet.core.model import Record
from cubelet.engine.worker import Worker


class Fleet:
    """Workers by id, and the view: the last record of each that is on disk or will not be.

    `unreadable` are ids whose stored record cannot be read, and why; nobody may take them. Those of
    them that are `awaited` may get a record again, from their shims.
    """

    def __init__(self, employ: Callable[[str, Record | None], Worker]) -> None:
        self.unreadable: dict[str, str] = {}
        self.awaited: set[str] = set()
        self._employ = employ
        self._workers: dict[str, Worker] = {}
        self._view: dict[str, Record] = {}
        self._held: set[str] = set()
        self._notes: list[set[str]] = []

    def workers(self) -> Sequence[Worker]:
        """All of them, as of now."""
        return list(self._workers.values())

    def take_over(self, record: Record) -> Worker:
        """Show a stored record, and employ a worker for it."""
        self._view[record.id] = record
        return self._hire(record.id, record)

    def worker_for(self, sandbox_id: str) -> Worker:
        """The one that drives this id, or a new one for a sandbox that is to be."""
        return self._workers.get(sandbox_id) or self._hire(sandbox_id, None)

    def find(self, sandbox_id: str) -> Worker | None:
        """The one that drives this id, if any."""
        return self._workers.get(sandbox_id)

    def worker(self, sandbox_id: str) -> Worker:
        """The one that drives this id; CubeletError where there is none."""
        worker = self._workers.get(sandbox_id)
        if worker is None:
            raise self.unknown(sandbox_id)
        return worker

    def record_of(self, worker: Worker) -> Record:
        """What it drives; CubeletError where that is gone meanwhile."""
        if worker.record is None:
            raise self.unknown(worker.id)
        return worker.record

    def show(self, worker: Worker) -> None:
        """Follow a change of a worker's record, and its end."""
        if worker.record is not None:
            self._view[worker.id] = worker.record
            self.unreadable.pop(worker.id, None)
        else:
            self._view.pop(worker.id, None)
        if worker.ended:
            del self._workers[worker.id]

    def seen(self, sandbox_id: str) -> Record | None:
        """What readers see of it."""
        return self._view.get(sandbox_id)

    def view(self) -> Sequence[Record]:
        """All sandboxes from memory, newest first and ended ones last."""
        return sorted(self._view.values(), key=_newest_first)

    def resolve(self, text: str) -> str:
        """The id that `text` is, or is the only one to begin with."""
        if text in self._view or text in self.unreadable:
            return text
        found = [sandbox_id for sandbox_id in self._view if text and sandbox_id.startswith(text)]
        if len(found) > 1:
            message = f"{len(found)} sandboxes begin with {text[:80]!r}; give more of the id"
            raise error(Code.INVALID_ARGUMENT, Reason.AMBIGUOUS_ID, message)
        if not found:
            raise self.unknown(text)
        return found[0]

    def refuse_unreadable(self, sandbox_id: str) -> None:
        """Raise where a new sandbox would take an id that is not to be had."""
        if sandbox_id in self._held:
            message = f"what an earlier sandbox {sandbox_id} left is being removed; try again"
            raise error(Code.ABORTED, Reason.SANDBOX_EXISTS, message)
        if sandbox_id in self.unreadable:
            message = f"sandbox {sandbox_id} has a record that cannot be read; choose another id"
            raise error(Code.ALREADY_EXISTS, Reason.UNREADABLE_RECORD, message)

    @contextmanager
    def noting(self) -> Iterator[set[str]]:
        """All ids that somebody drives now or at any moment until this ends."""
        noted = set(self._workers)
        self._notes.append(noted)
        try:
            yield noted
        finally:
            self._notes = [other for other in self._notes if other is not noted]

    @contextmanager
    def holding(self, sandbox_id: str, *, but: Container[str] = ()) -> Iterator[bool]:
        """Keep new sandboxes from taking an id that nobody has; False where somebody has it.

        An id that cannot be read is somebody's, except for those in `but`.
        """
        taken = sandbox_id in self._workers or sandbox_id in self._held
        if taken or (sandbox_id in self.unreadable and sandbox_id not in but):
            yield False
            return
        self._held.add(sandbox_id)
        try:
            yield True
        finally:
            self._held.discard(sandbox_id)

    def unknown(self, sandbox_id: str) -> CubeletError:
        """The error for an id that nobody drives."""
        why = self.unreadable.get(sandbox_id)
        if why is not None:
            message = f"the record of sandbox {sandbox_id} cannot be read: {why}"
            code = Code.UNAVAILABLE if sandbox_id in self.awaited else Code.INTERNAL
            return error(code, Reason.UNREADABLE_RECORD, message)
        message = f"no sandbox {sandbox_id[:80]!r} here; list what there is"
        return error(Code.NOT_FOUND, Reason.SANDBOX_NOT_FOUND, message)

    def _hire(self, sandbox_id: str, record: Record | None) -> Worker:
        worker = self._workers[sandbox_id] = self._employ(sandbox_id, record)
        for noted in self._notes:
            noted.add(sandbox_id)
        return worker


def _newest_first(record: Record) -> tuple[bool, int, str]:
    # As its state says, EXITED or DELETED; but a list of 10,000 cannot derive each state first.
    ended = bool(record.finished_at_ns or record.tombstone_at_ns)
    return (ended, -record.created_at_ns, record.id)
