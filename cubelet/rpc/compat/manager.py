"""cubelet.services.cubebox.v1.CubeboxMgr: one method per RPC, each of which always answers."""

from __future__ import annotations

from typing import Any

from cubelet.core.faults import Code, CubeletError, Reason, error
from cubelet.engine.facade import Agent
from cubelet.engine.ports import Ids
from cubelet.rpc import incidents
from cubelet.rpc.compat.answers import answering
from cubelet.rpc.compat.create import create
from cubelet.rpc.compat.destroy import destroy
from cubelet.rpc.compat.listing import list_sandboxes
from cubelet.rpc.compat.snapshots import (
    commit_sandbox,
    get_local_snapshot,
    list_local_snapshots,
    rollback_sandbox,
)
from cubelet.rpc.compat.tables import CATALOG, COMMIT, CREATE, DESTROY, ROLLBACK
from cubelet.rpc.compat.update import table_for, update
from cubelet.services.cubebox.v1 import cubebox_pb2 as pb
from cubelet.services.cubebox.v1 import cubebox_pb2_grpc


class CubeboxMgr(cubebox_pb2_grpc.CubeboxMgrServicer):
    """Business errors are in `ret`; gRPC says OK. The one exception is List, which has no `ret`."""

    def __init__(self, agent: Agent, ids: Ids) -> None:
        self._agent = agent
        self._ids = ids

    async def Create(  # noqa: N802 - the RPC's name, as all below.
        self, request: pb.RunCubeSandboxRequest, context: Any
    ) -> pb.RunCubeSandboxResponse:
        """Make and start a sandbox."""
        del context
        reply = pb.RunCubeSandboxResponse()
        work = create(self._agent, request, reply)
        return await answering("Create", request, reply, ids=self._ids, table=CREATE, work=work)

    async def Destroy(  # noqa: N802
        self, request: pb.DestroyCubeSandboxRequest, context: Any
    ) -> pb.DestroyCubeSandboxResponse:
        """End and remove a sandbox."""
        del context
        reply = pb.DestroyCubeSandboxResponse()
        work = destroy(self._agent, request, reply)
        return await answering("Destroy", request, reply, ids=self._ids, table=DESTROY, work=work)

    async def Update(  # noqa: N802
        self, request: pb.UpdateCubeSandboxRequest, context: Any
    ) -> pb.UpdateCubeSandboxResponse:
        """Pause or resume a sandbox."""
        del context
        reply = pb.UpdateCubeSandboxResponse()
        work = update(self._agent, request)
        return await answering(
            "Update", request, reply, ids=self._ids, table=table_for(request), work=work
        )

    async def List(  # noqa: N802
        self, request: pb.ListCubeSandboxRequest, context: Any
    ) -> pb.ListCubeSandboxResponse:
        """All sandboxes, or those that fit."""
        del context
        try:
            return await list_sandboxes(self._agent, request)
        except CubeletError:
            raise
        except Exception as failed:
            incidents.report(failed, self._ids)
            raise error(Code.INTERNAL, Reason.BUG, "internal error") from failed

    async def CommitSandbox(  # noqa: N802
        self, request: pb.CommitSandboxRequest, context: Any
    ) -> pb.CommitSandboxResponse:
        """Take a snapshot of a running sandbox."""
        del context
        reply = pb.CommitSandboxResponse()
        work = commit_sandbox(self._agent, request, reply)
        return await answering(
            "CommitSandbox", request, reply, ids=self._ids, table=COMMIT, work=work
        )

    async def RollbackSandbox(  # noqa: N802
        self, request: pb.RollbackSandboxRequest, context: Any
    ) -> pb.RollbackSandboxResponse:
        """Put a running sandbox back to a snapshot."""
        del context
        reply = pb.RollbackSandboxResponse()
        work = rollback_sandbox(self._agent, request, reply)
        return await answering(
            "RollbackSandbox", request, reply, ids=self._ids, table=ROLLBACK, work=work
        )

    async def ListLocalSnapshots(  # noqa: N802
        self, request: pb.ListLocalSnapshotsRequest, context: Any
    ) -> pb.ListLocalSnapshotsResponse:
        """The catalog."""
        del context
        reply = pb.ListLocalSnapshotsResponse()
        work = list_local_snapshots(self._agent, request, reply)
        return await answering(
            "ListLocalSnapshots", request, reply, ids=self._ids, table=CATALOG, work=work
        )

    async def GetLocalSnapshot(  # noqa: N802
        self, request: pb.GetLocalSnapshotRequest, context: Any
    ) -> pb.GetLocalSnapshotResponse:
        """One snapshot of the catalog."""
        del context
        reply = pb.GetLocalSnapshotResponse()
        work = get_local_snapshot(self._agent, request, reply)
        return await answering(
            "GetLocalSnapshot", request, reply, ids=self._ids, table=CATALOG, work=work
        )
