"""cubelet.api.v1.Node: what the agent says about itself."""

from __future__ import annotations

import platform
from typing import Any

import google.protobuf
import grpc

import cubelet
from cubelet.api.v1 import node_pb2, node_pb2_grpc
from cubelet.core.node import Orphan
from cubelet.engine.facade import Agent
from cubelet.rpc.native.messages import condition_to_wire, duration
from cubelet.rpc.texts import wire_text

#: A reply over ttrpc has at most 4 MiB, and each of them up to a kibibyte of reasons.
UNREADABLE_MAX = 1000


class Node(node_pb2_grpc.NodeServicer):
    """Asks no shim."""

    def __init__(self, agent: Agent, sqlite_version: str) -> None:
        self._agent = agent
        self._sqlite_version = sqlite_version

    async def Version(  # noqa: N802 - the RPC's name.
        self, request: node_pb2.VersionRequest, context: Any
    ) -> node_pb2.VersionResponse:
        """Versions of the agent and of what it stands on, and the usable runtimes."""
        del request, context
        return node_pb2.VersionResponse(
            version=cubelet.__version__,
            python=platform.python_version(),
            grpcio=grpc.__version__,
            protobuf=google.protobuf.__version__,
            sqlite=self._sqlite_version,
            runtimes=self._agent.runtimes,
        )

    async def Status(  # noqa: N802
        self, request: node_pb2.StatusRequest, context: Any
    ) -> node_pb2.StatusResponse:
        """How the agent fares."""
        del request, context
        status = self._agent.status()
        unreadable = sorted(status.unreadable.items())
        return node_pb2.StatusResponse(
            conditions=[condition_to_wire(condition) for condition in status.conditions],
            sandboxes={state.value: count for state, count in status.sandboxes.items()},
            unreadable={name: wire_text(why) for name, why in unreadable[:UNREADABLE_MAX]},
            unreadable_more=len(unreadable[UNREADABLE_MAX:]),
            relist_age=duration(status.relist_age_s),
        )

    async def Doctor(  # noqa: N802
        self, request: node_pb2.DoctorRequest, context: Any
    ) -> node_pb2.DoctorResponse:
        """What no record owns, and what became of it where it was to be removed."""
        del context
        found = await self._agent.doctor(fix=request.fix)
        return node_pb2.DoctorResponse(
            orphans=[_orphan(orphan) for orphan in found.orphans], more=found.more
        )

    async def Backup(  # noqa: N802
        self, request: node_pb2.BackupRequest, context: Any
    ) -> node_pb2.BackupResponse:
        """Copy the store to a new file, and say where that is."""
        del context
        made = await self._agent.backup(request.name)
        return node_pb2.BackupResponse(path=wire_text(made.path), bytes=made.bytes)


def _orphan(orphan: Orphan) -> node_pb2.Orphan:
    return node_pb2.Orphan(
        sandbox_id=orphan.sandbox_id,
        runtime=orphan.runtime,
        found=[wire_text(line) for line in orphan.found],
        removed=orphan.removed,
        failure=wire_text(orphan.failure),
    )
