"""The RPCs of snapshots: Commit, Rollback, ListSnapshots."""

from __future__ import annotations

from typing import Any

from cubelet.api.v1 import sandboxes_pb2 as pb
from cubelet.core.bindings import Snapshot
from cubelet.core.ids import check_id
from cubelet.rpc.idempotency import native_key
from cubelet.rpc.native.group import Group
from cubelet.rpc.native.messages import stamp
from cubelet.rpc.native.paging import Place, page
from cubelet.rpc.validate import check_snapshot_id


class Snapshots(Group):
    """Each names the snapshot by its whole id."""

    async def Commit(  # noqa: N802 - the RPC's name, as all below.
        self, request: pb.CommitRequest, context: Any
    ) -> pb.CommitResponse:
        """Take a snapshot; answers when it is on disk and in the catalog."""
        del context
        record, snapshot = await self._agent.commit(
            check_id(request.id, "id"),
            snapshot_id=check_snapshot_id(request.snapshot_id, "snapshot_id"),
            key=native_key("Commit", request, request.idempotency_key),
        )
        return pb.CommitResponse(sandbox=self._shown(record), snapshot=_snapshot(snapshot))

    async def Rollback(  # noqa: N802
        self, request: pb.RollbackRequest, context: Any
    ) -> pb.RollbackResponse:
        """Go back to a snapshot; answers when it runs from there."""
        del context
        record = await self._agent.rollback(
            check_id(request.id, "id"),
            snapshot_id=check_snapshot_id(request.snapshot_id, "snapshot_id"),
            key=native_key("Rollback", request, request.idempotency_key),
        )
        return pb.RollbackResponse(sandbox=self._shown(record))

    async def ListSnapshots(  # noqa: N802
        self, request: pb.ListSnapshotsRequest, context: Any
    ) -> pb.ListSnapshotsResponse:
        """One page of the catalog, oldest first."""
        del context
        shown, token = page(
            self._agent.snapshots(),
            at=_place,
            wire=_snapshot,
            size=request.page_size,
            token=request.page_token,
        )
        return pb.ListSnapshotsResponse(snapshots=shown, next_page_token=token)


def _place(snapshot: Snapshot) -> Place:
    """Oldest first, and the id where both are equal. It never changes."""
    return (False, snapshot.created_at_ns, snapshot.id)


def _snapshot(snapshot: Snapshot) -> pb.Snapshot:
    return pb.Snapshot(
        id=snapshot.id,
        kind=snapshot.kind,
        runtime=snapshot.runtime,
        sandbox_id=snapshot.sandbox_id,
        mode=snapshot.mode.value,
        base_id=snapshot.base_id,
        generation=snapshot.generation,
        created_at=stamp(snapshot.created_at_ns),
        path=snapshot.path,
    )
