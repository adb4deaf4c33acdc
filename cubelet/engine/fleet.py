"""All sandboxes of the agent: who drives each, and what readers see of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from cubelet.core.faults import Code, CubeletError, Reason, error
from cubelet.core.model import Record, State
from cubelet.engine.worker import Worker


class Fleet:
    """Workers by id, and the view: the last record of each that is on disk or will not be.

    `unreadable` are ids whose stored record cannot be read, and why; nobody may take them.
    """

    def __init__(self, employ: Callable[[str, Record | None], Worker]) -> None:
        self.unreadable: Mapping[str, str] = {}
        self._employ = employ
        self._workers: dict[str, Worker] = {}
        self._view: dict[str, Record] = {}

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
        """Raise where a new sandbox would take the id of a record that cannot be read."""
        if sandbox_id in self.unreadable:
            message = f"sandbox {sandbox_id} has a record that cannot be read; choose another id"
            raise error(Code.ALREADY_EXISTS, Reason.UNREADABLE_RECORD, message)

    def unknown(self, sandbox_id: str) -> CubeletError:
        """The error for an id that nobody drives."""
        why = self.unreadable.get(sandbox_id)
        if why is not None:
            message = f"the record of sandbox {sandbox_id} cannot be read: {why}"
            return error(Code.INTERNAL, Reason.UNREADABLE_RECORD, message)
        message = f"no sandbox {sandbox_id[:80]!r} here; list what there is"
        return error(Code.NOT_FOUND, Reason.SANDBOX_NOT_FOUND, message)

    def _hire(self, sandbox_id: str, record: Record | None) -> Worker:
        worker = self._workers[sandbox_id] = self._employ(sandbox_id, record)
        return worker


def _newest_first(record: Record) -> tuple[bool, int, str]:
    ended = record.state in {State.EXITED, State.DELETED}
    return (ended, -record.created_at_ns, record.id)
