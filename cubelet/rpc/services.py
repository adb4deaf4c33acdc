"""What is served: each service by its descriptor, and who answers it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor

from cubelet.api.v1 import node_pb2, node_pb2_grpc, sandboxes_pb2, sandboxes_pb2_grpc
from cubelet.engine.facade import Agent
from cubelet.engine.ports import Clock, Ids
from cubelet.obs.metrics import Metrics
from cubelet.rpc.compat.manager import CubeboxMgr
from cubelet.rpc.native.node import Node
from cubelet.rpc.native.sandboxes import Sandboxes
from cubelet.services.cubebox.v1 import cubebox_pb2, cubebox_pb2_grpc


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What the doors are given: the engine behind them, the world's clock, names, and metrics."""

    agent: Agent
    clock: Clock
    ids: Ids
    metrics: Metrics
    #: SQLite's version, for Node.Version; only the store may ask for it.
    sqlite_version: str


@dataclass(frozen=True, slots=True)
class Service:
    """`handler` has an async method for each RPC, which takes the request and a context.

    The context is gRPC's or None: a unary method must do without it to be served at every door.
    """

    descriptor: ServiceDescriptor
    handler: object
    add_to_grpc: Callable[[Any, grpc.aio.Server], None]


def native(needs: Needs) -> Sequence[Service]:
    """The native API, for every door."""
    return (
        Service(
            sandboxes_pb2.DESCRIPTOR.services_by_name["Sandboxes"],
            Sandboxes(needs.agent),
            sandboxes_pb2_grpc.add_SandboxesServicer_to_server,
        ),
        Service(
            node_pb2.DESCRIPTOR.services_by_name["Node"],
            Node(needs.agent, needs.sqlite_version),
            node_pb2_grpc.add_NodeServicer_to_server,
        ),
    )


def compatible(needs: Needs) -> Sequence[Service]:
    """The master-compatible API, for masters, who speak gRPC."""
    return (
        Service(
            cubebox_pb2.DESCRIPTOR.services_by_name["CubeboxMgr"],
            CubeboxMgr(needs.agent, needs.ids),
            cubebox_pb2_grpc.add_CubeboxMgrServicer_to_server,
        ),
    )
