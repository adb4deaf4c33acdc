"""CubeboxMgr.Destroy: end and remove a sandbox, in whatever state it is."""

from __future__ import annotations

from cubelet.core.ids import check_id
from cubelet.engine.facade import Agent
from cubelet.rpc.compat.answers import refuse
from cubelet.rpc.idempotency import compat_key
from cubelet.services.cubebox.v1 import cubebox_pb2 as pb


async def destroy(
    agent: Agent, request: pb.DestroyCubeSandboxRequest, reply: pb.DestroyCubeSandboxResponse
) -> None:
    """Answer when all of it is gone. Annotations and filter change nothing, as in the original."""
    reply.sandboxID = request.sandboxID
    if not request.sandboxID:
        raise refuse("must provide sandboxID")
    key = compat_key("Destroy", request, request.requestID)
    await agent.delete(check_id(request.sandboxID, "sandboxID"), key=key)
