"""The gRPC server: binds, serves both APIs with health and reflection, drains, stops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import grpc.aio
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from cubelet.api.v1 import node_pb2, node_pb2_grpc, sandboxes_pb2, sandboxes_pb2_grpc
from cubelet.engine.facade import Agent
from cubelet.engine.ports import Clock, Ids
from cubelet.obs.metrics import Metrics
from cubelet.rpc.compat.manager import CubeboxMgr
from cubelet.rpc.gate import Gate
from cubelet.rpc.native.node import Node
from cubelet.rpc.native.sandboxes import Sandboxes
from cubelet.rpc.options import REQUESTS_IN_FLIGHT_MAX, SERVER_OPTIONS
from cubelet.rpc.sockets import SOCKET_MODE, CannotListen, Listen, loopback, prepare_directory
from cubelet.services.cubebox.v1 import cubebox_pb2, cubebox_pb2_grpc

#: How long a cancelled handler is given to clean up, beyond the grace.
_CLEANUP_S = 5.0

SERVICES: Sequence[str] = (
    sandboxes_pb2.DESCRIPTOR.services_by_name["Sandboxes"].full_name,
    node_pb2.DESCRIPTOR.services_by_name["Node"].full_name,
    cubebox_pb2.DESCRIPTOR.services_by_name["CubeboxMgr"].full_name,
)
_log = structlog.get_logger("cubelet.rpc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What the server is given: the engine behind it, and the world's clock, names and metrics."""

    agent: Agent
    clock: Clock
    ids: Ids
    metrics: Metrics
    #: SQLite's version, for Node.Version; only the store may ask for it.
    sqlite_version: str


class RpcServer:
    """One server. The caller holds the agent's lock file before `start`.

    gRPC takes a living server's socket away without a word, so the lock is what keeps a second
    agent out.
    """

    def __init__(self, needs: Needs, listen: Listen) -> None:
        self._listen = listen
        self._gate = Gate(metrics=needs.metrics, clock=needs.clock, ids=needs.ids)
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(
            interceptors=[self._gate],
            options=SERVER_OPTIONS,
            maximum_concurrent_rpcs=REQUESTS_IN_FLIGHT_MAX,
        )
        self._register(needs)
        #: The TCP port that was bound, 0: none. Differs from the one asked for if that was 0.
        self.tcp_port = 0

    def _register(self, needs: Needs) -> None:
        server = self._server
        sandboxes_pb2_grpc.add_SandboxesServicer_to_server(Sandboxes(needs.agent), server)
        node_pb2_grpc.add_NodeServicer_to_server(Node(needs.agent, needs.sqlite_version), server)
        cubebox_pb2_grpc.add_CubeboxMgrServicer_to_server(
            CubeboxMgr(needs.agent, needs.ids), server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)

    async def start(self) -> None:
        """Bind and serve; CannotListen says what is in the way, and then nothing is bound."""
        tcp = loopback(self._listen.tcp) if self._listen.tcp else ""
        prepare_directory(self._listen.socket_path)
        try:
            self._bind(tcp)
        except CannotListen:
            await self._server.stop(None)
            raise
        for name in SERVICES:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()
        _log.info("serving", socket=str(self._listen.socket_path), tcp_port=self.tcp_port)

    def _bind(self, tcp: str) -> None:
        """Bind TCP first: it is the one that can be taken, and then the socket stays untouched."""
        if tcp:
            self.tcp_port = self._add(tcp)
        path = self._listen.socket_path
        self._add(f"unix:{path.absolute()}")
        path.chmod(SOCKET_MODE)

    def _add(self, address: str) -> int:
        try:
            return self._server.add_insecure_port(address)
        except RuntimeError as failed:
            raise CannotListen(
                f"cannot listen on {address}: another program has it, or it is not allowed"
            ) from failed

    async def drain(self) -> None:
        """Say NOT_SERVING and refuse new requests with UNAVAILABLE; those running go on."""
        self._gate.draining = True
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace_s: float) -> None:
        """Drain, wait up to grace_s for running requests, cancel the others, and see them end.

        A second call with a shorter grace, even while the first still waits, ends the wait. No
        operation is hurt: handlers only wait for what the sandboxes' workers do.
        """
        await self.drain()
        await self._gate.idle(grace_s)
        await self._server.stop(0)
        # gRPC returns from stop() before cancelled handlers have cleaned up (grpc/grpc#37239).
        if not await self._gate.idle(_CLEANUP_S):
            _log.error("handlers did not end when cancelled", waited_s=_CLEANUP_S)
