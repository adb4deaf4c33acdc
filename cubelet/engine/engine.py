"""The engine: all workers, the view that readers see, and the requests of the outside."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog

from cubelet.core.faults import Code, CubeletError, Reason, error
from cubelet.core.ids import check_id
from cubelet.core.inputs import (
    CreateRequested,
    DeleteRequested,
    PauseRequested,
    Recovered,
    ResumeRequested,
)
from cubelet.core.model import Record, State
from cubelet.core.policy import Policy
from cubelet.core.spec import Spec
from cubelet.engine.executor import Executor
from cubelet.engine.ports import Clock, Hooks, Ids, Runtime, Store
from cubelet.engine.supervisor import Supervisor
from cubelet.engine.worker import Surroundings, Worker

_log = structlog.get_logger("cubelet.engine")

DEFAULT_NAMESPACE = "default"


class Engine:
    """Implements facade.Agent over the ports. Built by app; one per process.

    `runtimes` are those that are usable here, the default one first.
    """

    def __init__(
        self,
        *,
        store: Store,
        runtimes: Mapping[str, Runtime],
        hooks: Hooks,
        clock: Clock,
        ids: Ids,
        policy: Policy,
    ) -> None:
        self.unreadable: Mapping[str, str] = {}
        self._store = store
        self._runtimes = runtimes
        self._ids = ids
        self._supervisor = Supervisor()
        self._workers: dict[str, Worker] = {}
        self._view: dict[str, Record] = {}
        self._draining = False
        self._around = Surroundings(
            store=store,
            clock=clock,
            executor=Executor(runtimes=runtimes, hooks=hooks, policy=policy),
            supervisor=self._supervisor,
            publish=self._publish,
        )

    async def start(self) -> None:
        """Take over what the store holds. Readers are served at once, shims are asked meanwhile."""
        loaded = await self._store.load()
        self.unreadable = dict(loaded.unreadable)
        for sandbox_id, why in self.unreadable.items():
            _log.error("record_unreadable", sandbox=sandbox_id, reason=why)
        for record in loaded.records:
            self._view[record.id] = record
            self._worker_of(record.id, record).post(Recovered())
        _log.info("recovered", sandboxes=len(loaded.records), unreadable=len(self.unreadable))

    @property
    def runtimes(self) -> Sequence[str]:
        """Names of the usable runtimes, the default first."""
        return list(self._runtimes)

    async def create(self, spec: Spec, *, sandbox_id: str, namespace: str) -> Record:
        """Make and start a sandbox; see facade.Agent."""
        self._refuse_while_draining()
        runtime = self._runtime(spec.runtime)
        complete = replace(spec, runtime=runtime.name)
        runtime.check(complete)
        chosen = check_id(sandbox_id or self._ids.new_id(), "sandbox id")
        if chosen in self.unreadable:
            message = f"sandbox {chosen} has a record that cannot be read; choose another id"
            raise error(Code.ALREADY_EXISTS, Reason.UNREADABLE_RECORD, message)
        request = CreateRequested(
            op_id=self._ids.new_id(),
            id=chosen,
            namespace=check_id(namespace or DEFAULT_NAMESPACE, "namespace"),
            incarnation=self._ids.new_id(),
            spec=complete,
        )
        worker = self._workers.get(chosen) or self._worker_of(chosen, None)
        return await worker.request(request)

    async def get(self, sandbox_id: str) -> Record:
        """One sandbox, after a look at the shim where an outcome is open."""
        worker = self._worker(sandbox_id)
        await worker.look()
        if worker.record is None:
            raise self._unknown(sandbox_id)
        return worker.record

    def resolve(self, text: str) -> str:
        """The id that `text` is, or is the only one to begin with."""
        if text in self._view or text in self.unreadable:
            return text
        found = [sandbox_id for sandbox_id in self._view if text and sandbox_id.startswith(text)]
        if len(found) > 1:
            message = f"{len(found)} sandboxes begin with {text[:80]!r}; give more of the id"
            raise error(Code.INVALID_ARGUMENT, Reason.AMBIGUOUS_ID, message)
        if not found:
            raise self._unknown(text)
        return found[0]

    def view(self) -> Sequence[Record]:
        """All sandboxes from memory, newest first and ended ones last."""
        return sorted(self._view.values(), key=_newest_first)

    async def pause(self, sandbox_id: str, *, expected_epoch: int | None = None) -> Record:
        """Pause it; see facade.Agent."""
        self._refuse_while_draining()
        worker = self._worker(sandbox_id)
        await worker.look()
        request = PauseRequested(op_id=self._ids.new_id(), expected_epoch=expected_epoch)
        return await worker.request(request)

    async def resume(self, sandbox_id: str, *, expected_epoch: int | None = None) -> Record:
        """Resume it; see facade.Agent."""
        self._refuse_while_draining()
        worker = self._worker(sandbox_id)
        await worker.look()
        request = ResumeRequested(
            op_id=self._ids.new_id(),
            opaque_restore=self._is_opaque(worker.record),
            expected_epoch=expected_epoch,
        )
        return await worker.request(request)

    async def delete(self, sandbox_id: str) -> None:
        """End and remove it, in whatever state it is."""
        self._refuse_while_draining()
        await self._worker(sandbox_id).delete(DeleteRequested(op_id=self._ids.new_id()))

    def hint(self, sandbox_id: str) -> None:
        """A shim's event: a reason to look, and nothing more. Unknown ids are strangers."""
        worker = self._workers.get(sandbox_id)
        if worker is not None:
            worker.hint()

    async def drain(self, grace_s: float) -> int:
        """Refuse new work, let what runs come to its end; the number that had to be left open."""
        self._draining = True
        workers = list(self._workers.values())
        if not workers:
            return 0
        quiet = [asyncio.create_task(worker.quiet()) for worker in workers]
        _, busy = await asyncio.wait(quiet, timeout=grace_s)
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        return len(busy)

    async def close(self) -> None:
        """End all workers. What is open stays open on disk, for the next start."""
        self._draining = True
        await self._supervisor.close()

    def _publish(self, worker: Worker) -> None:
        if worker.record is not None:
            self._view[worker.id] = worker.record
        elif self._workers.get(worker.id) is worker:
            del self._workers[worker.id]
            self._view.pop(worker.id, None)

    def _worker_of(self, sandbox_id: str, record: Record | None) -> Worker:
        worker = Worker(sandbox_id, record, self._around)
        self._workers[sandbox_id] = worker
        return worker

    def _worker(self, sandbox_id: str) -> Worker:
        worker = self._workers.get(sandbox_id)
        if worker is None:
            raise self._unknown(sandbox_id)
        return worker

    def _unknown(self, sandbox_id: str) -> CubeletError:
        why = self.unreadable.get(sandbox_id)
        if why is not None:
            message = f"the record of sandbox {sandbox_id} cannot be read: {why}"
            return error(Code.INTERNAL, Reason.UNREADABLE_RECORD, message)
        message = f"no sandbox {sandbox_id[:80]!r} here; list what there is"
        return error(Code.NOT_FOUND, Reason.SANDBOX_NOT_FOUND, message)

    def _runtime(self, name: str) -> Runtime:
        chosen = name or next(iter(self._runtimes), "")
        runtime = self._runtimes.get(chosen)
        if runtime is None:
            usable = ", ".join(self._runtimes) or "none"
            message = f"runtime {chosen!r} is not usable here; usable: {usable}"
            raise error(Code.INVALID_ARGUMENT, Reason.UNKNOWN_RUNTIME, message)
        return runtime

    def _is_opaque(self, record: Record | None) -> bool:
        """Whether a resume of it is a restore; of a runtime that is not there, to be safe, yes."""
        runtime = self._runtimes.get(record.spec.runtime) if record else None
        return runtime is None or runtime.capabilities.opaque_restore

    def _refuse_while_draining(self) -> None:
        if self._draining:
            message = "the agent is shutting down; try again when it is back"
            raise error(Code.UNAVAILABLE, Reason.SHUTTING_DOWN, message)


def _newest_first(record: Record) -> tuple[bool, int, str]:
    ended = record.state in {State.EXITED, State.DELETED}
    return (ended, -record.created_at_ns, record.id)
