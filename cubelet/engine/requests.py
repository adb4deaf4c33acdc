"""What changes a sandbox, or takes a snapshot of it: checked, then put to its worker."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from cubelet.core.bindings import INVALID_BASE, Snapshot
from cubelet.core.faults import Code, CubeletError, Reason, error
from cubelet.core.ids import DEFAULT_NAMESPACE, check_id
from cubelet.core.inputs import (
    CommitRequested,
    CreateRequested,
    DeleteRequested,
    Expected,
    PauseRequested,
    RepairRequested,
    Request,
    ResumeRequested,
    RollbackRequested,
)
from cubelet.core.model import Key, Record
from cubelet.core.spec import Spec
from cubelet.engine.facade import ANYTHING
from cubelet.engine.parts import Parts
from cubelet.engine.ports import Runtime


class Requests(Parts):
    """Those of facade.Agent that begin something. Refused while the agent drains."""

    async def create(
        self, spec: Spec, *, sandbox_id: str, namespace: str, key: Key | None = None
    ) -> Record:
        """Make and start a sandbox; see facade.Agent."""
        self._refuse_while_draining()
        runtime = self._runtime(spec.runtime)
        complete = replace(spec, runtime=runtime.name)
        runtime.check(complete)
        self._catalog.check_origin(complete)
        chosen = check_id(sandbox_id or self._new_id(key), "sandbox id")
        self._fleet.refuse_unreadable(chosen)
        request = CreateRequested(
            op_id=self._ids.new_id(),
            key=key,
            id=chosen,
            namespace=check_id(namespace or DEFAULT_NAMESPACE, "namespace"),
            incarnation=self._ids.new_id(),
            spec=complete,
            opaque_restore=runtime.capabilities.opaque_restore,
            boot_id=self._boot_id,
        )
        return _answered(await self._fleet.worker_for(chosen).request(request))

    async def pause(
        self, sandbox_id: str, *, expected: Expected = ANYTHING, key: Key | None = None
    ) -> Record:
        """Pause it; see facade.Agent."""
        op_id = self._ids.new_id()
        return await self._ask(sandbox_id, PauseRequested(op_id=op_id, key=key, expected=expected))

    async def resume(
        self, sandbox_id: str, *, expected: Expected = ANYTHING, key: Key | None = None
    ) -> Record:
        """Resume it; see facade.Agent."""
        op_id = self._ids.new_id()
        return await self._ask(sandbox_id, ResumeRequested(op_id=op_id, key=key, expected=expected))

    async def delete(self, sandbox_id: str, *, key: Key | None = None) -> None:
        """End and remove it, in whatever state it is."""
        self._refuse_while_draining()
        lost = self._rebuild.lost(sandbox_id)
        request = DeleteRequested(op_id=self._ids.new_id(), key=key, lost=lost)
        worker = self._fleet.find(sandbox_id)
        if worker is None and lost is not None:
            worker = self._fleet.worker_for(sandbox_id)
        if worker is None:
            await self._told_before(sandbox_id, key)
            return
        await worker.request(request)

    async def commit(
        self, sandbox_id: str, *, snapshot_id: str, key: Key | None = None
    ) -> tuple[Record, Snapshot]:
        """Take a snapshot; see facade.Agent."""
        self._check_snapshots(sandbox_id, snapshot_id)
        with self._catalog.claim(snapshot_id, sandbox_id) as held:
            request = CommitRequested(
                op_id=self._ids.new_id(),
                key=key,
                snapshot_id=snapshot_id,
                catalog=self._catalog.entries,
                claimed=not held,
            )
            record = await self._ask(sandbox_id, request)
        return record, self._catalog.entries[snapshot_id]

    async def rollback(
        self, sandbox_id: str, *, snapshot_id: str, key: Key | None = None
    ) -> Record:
        """Go back to a snapshot; see facade.Agent."""
        self._check_snapshots(sandbox_id, snapshot_id)
        request = RollbackRequested(
            op_id=self._ids.new_id(),
            key=key,
            snapshot_id=snapshot_id,
            catalog=self._catalog.entries,
        )
        return await self._ask(sandbox_id, request)

    async def repair(self, sandbox_id: str) -> Record:
        """Put kernel and shim in agreement; see facade.Agent."""
        runtime = self._runtimes.get(
            self._fleet.record_of(self._fleet.worker(sandbox_id)).spec.runtime
        )
        if runtime is None or not runtime.capabilities.heals:
            message = f"the runtime of sandbox {sandbox_id} has no way past its shim"
            raise error(Code.FAILED_PRECONDITION, Reason.HEAL_UNSUPPORTED, message)
        await self._fleet.worker(sandbox_id).look()
        return await self._ask(sandbox_id, RepairRequested(op_id=self._ids.new_id()))

    async def _ask(self, sandbox_id: str, request: Request) -> Record:
        """Put a request to a sandbox that is there; where an outcome is open, look first."""
        self._refuse_while_draining()
        worker = self._fleet.find(sandbox_id)
        if worker is not None and worker.doubtful:
            await self._look_briefly(worker)
            worker = self._fleet.find(sandbox_id)  # It may have ended while we looked.
        if worker is None:
            return _answered(await self._told_before(sandbox_id, request.key))
        return _answered(await worker.request(request))

    async def _told_before(self, sandbox_id: str, key: Key | None) -> Record | None:
        """The answer of a request that is repeated after its sandbox is gone."""
        told = await self._store.outcome(sandbox_id, key.value) if key else None
        if told is None or key is None or told.key != key:
            raise self._fleet.unknown(sandbox_id)
        if told.fault is not None:
            raise CubeletError(told.fault)
        return told.record

    def _new_id(self, key: Key | None) -> str:
        """From the key, so that the same create sent twice meets the same sandbox."""
        if key is None:
            return self._ids.new_id()
        return hashlib.sha256(key.value.encode()).hexdigest()[:32]

    def _runtime(self, name: str) -> Runtime:
        chosen = name or next(iter(self._runtimes), "")
        runtime = self._runtimes.get(chosen)
        if runtime is None:
            usable = ", ".join(self._runtimes) or "none"
            message = f"runtime {chosen!r} is not usable here; usable: {usable}"
            raise error(Code.INVALID_ARGUMENT, Reason.UNKNOWN_RUNTIME, message)
        return runtime

    def _check_snapshots(self, sandbox_id: str, snapshot_id: str) -> None:
        check_id(snapshot_id, "snapshot id")
        if snapshot_id == INVALID_BASE:
            message = f"{INVALID_BASE} marks an unusable base, it is no snapshot; choose a name"
            raise error(Code.INVALID_ARGUMENT, Reason.BAD_REQUEST, message)
        record = self._fleet.seen(sandbox_id)
        runtime = self._runtimes.get(record.spec.runtime) if record else None
        if runtime is not None and not runtime.capabilities.snapshots:
            message = f"runtime {runtime.name} of sandbox {sandbox_id} takes no snapshots"
            raise error(Code.FAILED_PRECONDITION, Reason.SNAPSHOTS_UNSUPPORTED, message)


def _answered(record: Record | None) -> Record:
    assert record is not None  # noqa: S101 - only a delete is answered without a record.
    return record
