"""CubeboxMgr.Update: pause and resume, by an annotation."""

from __future__ import annotations

from collections.abc import Mapping

from cubelet.core.faults import CubeletError, Reason
from cubelet.core.ids import check_id
from cubelet.engine.facade import Agent
from cubelet.rpc.compat import keys
from cubelet.rpc.compat.answers import refuse
from cubelet.rpc.compat.tables import NOT_FOUND, PAUSE, RESUME, Table
from cubelet.rpc.idempotency import compat_key
from cubelet.services.cubebox.v1 import cubebox_pb2 as pb

_NO_SANDBOX = frozenset({Reason.BAD_REQUEST, Reason.SANDBOX_NOT_FOUND, Reason.AMBIGUOUS_ID})
_REFUSALS: Mapping[str, str] = dict.fromkeys(
    ("addDevice", "removeDevice"),
    "cloud disk hotplug is not supported in the open source build",
)
_TABLES: Mapping[str, Table] = {"pause": PAUSE, "resume": RESUME}


def table_for(request: pb.UpdateCubeSandboxRequest) -> Table:
    """The codes of the action that is asked for; where there is none, both tables agree."""
    return _TABLES.get(request.annotations.get(keys.UPDATE_ACTION, ""), PAUSE)


async def update(agent: Agent, request: pb.UpdateCubeSandboxRequest) -> None:
    """Check in the contract's order, then pause or resume and wait for the outcome."""
    if not request.sandboxID:
        raise refuse("must provide container name")
    if not request.annotations:
        raise refuse("must provide Annotations")
    action = request.annotations.get(keys.UPDATE_ACTION, "")
    if not action:
        raise refuse("must provide update action")
    _check_known(agent, request.sandboxID)
    if action not in _TABLES:
        raise refuse(_REFUSALS.get(action, "invalid update action"))
    # Pause and resume are methods of their own here: one requestID may serve for both.
    key = compat_key(f"Update.{action}", request, request.requestID)
    if action == "pause":
        await agent.pause(request.sandboxID, key=key)
    else:
        await agent.resume(request.sandboxID, key=key)


def _check_known(agent: Agent, sandbox_id: str) -> None:
    """Refuse what is no sandbox's whole id; no prefixes here. Never waits for a shim."""
    try:
        known = agent.resolve(check_id(sandbox_id, "sandboxID")) == sandbox_id
    except CubeletError as failed:
        if failed.fault.reason not in _NO_SANDBOX:
            raise
        known = False
    if not known:
        raise refuse(NOT_FOUND, Reason.SANDBOX_NOT_FOUND)
