"""CubeboxMgr's snapshots: CommitSandbox, RollbackSandbox, ListLocalSnapshots, GetLocalSnapshot.

Snapshots of this agent are of memory: there are no volumes, devices or metadata directories. Where
a request brings one it is refused; in replies these fields are empty.
"""

from __future__ import annotations

from cubelet.core.bindings import Snapshot
from cubelet.core.faults import CubeletError, Reason
from cubelet.core.ids import check_id
from cubelet.core.model import State
from cubelet.engine.facade import Agent
from cubelet.rpc.compat.answers import refuse
from cubelet.rpc.compat.honoured import refuse_fields, unhonoured
from cubelet.rpc.idempotency import compat_key
from cubelet.rpc.labels import rfc3339_nano
from cubelet.rpc.validate import bad, check_snapshot_id
from cubelet.services.cubebox.v1 import cubebox_pb2 as pb

_COMMIT = frozenset({"requestID", "sandboxID", "templateID"})
_VOLUMES = ("rootfs_vol", "memory_vol", "meta_dir")
_ROLLBACK = frozenset({"requestID", "sandboxID", "snapshotID", "new_gen", *_VOLUMES})
_LOOK = frozenset({"requestID", "snapshotID"})
#: What a sandbox's disk is at, which no rollback of this agent changes.
_DISK_GENERATION = 0


async def commit_sandbox(
    agent: Agent, request: pb.CommitSandboxRequest, reply: pb.CommitSandboxResponse
) -> None:
    """Take a snapshot of a running sandbox under the name `templateID`."""
    reply.sandboxID, reply.templateID = request.sandboxID, request.templateID
    snapshot_id = _named("templateID", request.templateID)
    sandbox_id = check_id(_given("sandboxID", request.sandboxID), "sandboxID")
    refuse_fields(*unhonoured(request, _COMMIT))
    key = compat_key("CommitSandbox", request, request.requestID)
    _, snapshot = await agent.commit(sandbox_id, snapshot_id=snapshot_id, key=key)
    reply.snapshotPath = snapshot.path


async def rollback_sandbox(
    agent: Agent, request: pb.RollbackSandboxRequest, reply: pb.RollbackSandboxResponse
) -> None:
    """Put a running sandbox back to a snapshot of the catalog."""
    reply.sandboxID, reply.snapshotID = request.sandboxID, request.snapshotID
    sandbox_id = check_id(_given("sandboxID", request.sandboxID), "sandboxID")
    snapshot_id = _named("snapshotID", request.snapshotID)
    if request.new_gen <= _DISK_GENERATION:
        raise bad("new_gen", request.new_gen, f"use more than {_DISK_GENERATION}, where it is now")
    _check_volumes(request)
    refuse_fields(*unhonoured(request, _ROLLBACK))
    key = compat_key("RollbackSandbox", request, request.requestID)
    try:
        await agent.rollback(sandbox_id, snapshot_id=snapshot_id, key=key)
    except CubeletError as failed:
        if failed.fault.reason is Reason.NOT_RUNNING and _is_paused(agent, sandbox_id):
            raise refuse(failed.fault.message, Reason.UNEXPECTED_STATE) from failed
        raise
    reply.new_gen = request.new_gen


async def list_local_snapshots(
    agent: Agent, request: pb.ListLocalSnapshotsRequest, reply: pb.ListLocalSnapshotsResponse
) -> None:
    """The whole catalog, oldest first."""
    refuse_fields(*unhonoured(request, _LOOK))
    reply.snapshots.extend(_info(snapshot) for snapshot in agent.snapshots())


async def get_local_snapshot(
    agent: Agent, request: pb.GetLocalSnapshotRequest, reply: pb.GetLocalSnapshotResponse
) -> None:
    """One snapshot of the catalog."""
    refuse_fields(*unhonoured(request, _LOOK))
    wanted = _named("snapshotID", request.snapshotID)
    found = next((known for known in agent.snapshots() if known.id == wanted), None)
    if found is None:
        raise refuse(f"snapshot {wanted} not found", Reason.SNAPSHOT_NOT_FOUND)
    reply.snapshot.CopyFrom(_info(found))


def _given(field: str, text: str) -> str:
    if not text:
        raise refuse(f"must provide {field}")
    return text


def _named(field: str, text: str) -> str:
    """A snapshot's id; its grammar leaves no room for a path."""
    return check_snapshot_id(_given(field, text), field)


def _check_volumes(request: pb.RollbackSandboxRequest) -> None:
    """All or none may be set; all mean objects of the master's own, which this agent has not."""
    given = [name for name in _VOLUMES if getattr(request, name)]
    if not given:
        return
    rule = "leave all three empty, this agent has its own catalog"
    if len(given) < len(_VOLUMES):
        rule = f"set all of {', '.join(_VOLUMES)}, or none"
    raise refuse(f"{', '.join(given)} is set: {rule}", Reason.SNAPSHOTS_UNSUPPORTED)


def _is_paused(agent: Agent, sandbox_id: str) -> bool:
    """Whether NOT_RUNNING means that it has yet to be resumed, and not that it has ended."""
    return any(record.state is State.PAUSED for record in agent.view() if record.id == sandbox_id)


def _info(snapshot: Snapshot) -> pb.LocalSnapshotInfo:
    return pb.LocalSnapshotInfo(
        snapshotID=snapshot.id,
        snapshot_path=snapshot.path,
        created_at=rfc3339_nano(snapshot.created_at_ns),
        kind=snapshot.kind,
    )
