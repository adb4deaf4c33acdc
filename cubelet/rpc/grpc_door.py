"""The gRPC door: a unix socket and loopback TCP, with health and reflection."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from cubelet.rpc.gate import REQUESTS_IN_FLIGHT_MAX, Gate
from cubelet.rpc.interceptor import Interceptor
from cubelet.rpc.options import SERVER_OPTIONS
from cubelet.rpc.services import Service
from cubelet.rpc.sockets import SOCKET_MODE, CannotListen


class GrpcDoor:
    """Serves all services that it is given."""

    def __init__(self, gate: Gate, services: Sequence[Service]) -> None:
        self._services = [service.descriptor.full_name for service in services]
        self._health = health.aio.HealthServicer()
        self._stopping = asyncio.Lock()
        self._stopped = False
        self._server = grpc.aio.server(
            interceptors=[Interceptor(gate)],
            options=SERVER_OPTIONS,
            maximum_concurrent_rpcs=REQUESTS_IN_FLIGHT_MAX,
        )
        for service in services:
            service.add_to_grpc(service.handler, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (*self._services, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    def bind_tcp(self, address: str) -> int:
        """Bind an address of the loopback; the port that this gave. Raises CannotListen."""
        return self._add(address)

    def bind_socket(self, path: Path) -> None:
        """Bind a unix socket; one that is there is replaced. Raises CannotListen."""
        self._add(f"unix:{path.absolute()}")
        path.chmod(SOCKET_MODE)

    async def serve(self) -> None:
        """Say SERVING and answer."""
        for name in self._services:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()

    async def drain(self) -> None:
        """Say NOT_SERVING, for good."""
        await self._health.enter_graceful_shutdown()

    async def stop(self) -> None:
        """Hang up and cancel what still runs; more than one may ask for it.

        It may return before cancelled handlers have cleaned up (grpc/grpc#37239).
        """
        async with self._stopping:
            # Only once. grpcio 1.76 was seen to crash in here while two of them were under way;
            # that they were the cause is not shown, but nothing needs the second.
            if not self._stopped:
                self._stopped = True
                await self._server.stop(0)

    def _add(self, address: str) -> int:
        try:
            return self._server.add_insecure_port(address)
        except RuntimeError as failed:
            raise CannotListen(
                f"cannot listen on {address}: another program has it, or it is not allowed"
            ) from failed
