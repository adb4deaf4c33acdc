"""Both doors as one server: they open, drain and stop together, and lead to the same handlers."""

from __future__ import annotations

from typing import Final

import structlog

from cubelet.crashpoints import reach
from cubelet.rpc.gate import Gate
from cubelet.rpc.grpc_door import GrpcDoor
from cubelet.rpc.services import Needs, compatible, native
from cubelet.rpc.sockets import CannotListen, Listen, loopback, prepare_directory
from cubelet.rpc.ttrpc_door import TtrpcDoor

#: How long a cancelled handler is given to clean up, beyond the grace.
_CLEANUP_S: Final = 5.0

_log = structlog.get_logger("cubelet.rpc")


class RpcServer:
    """One server. The caller holds the agent's lock file before `start`.

    gRPC takes a living server's socket away without a word, so the lock is what keeps a second
    agent out.
    """

    def __init__(self, needs: Needs, listen: Listen) -> None:
        self._listen = listen
        self._gate = Gate(metrics=needs.metrics, clock=needs.clock, ids=needs.ids)
        self._grpc = GrpcDoor(self._gate, (*native(needs), *compatible(needs)))
        self._local = TtrpcDoor(self._gate, native(needs))
        #: The TCP port that was bound, 0: none. Differs from the one asked for if that was 0.
        self.tcp_port = 0

    async def start(self) -> None:
        """Bind and serve; CannotListen says what is in the way, and then nothing is bound."""
        listen = self._listen
        tcp = loopback(listen.tcp) if listen.tcp else ""
        prepare_directory(listen.socket_path)
        prepare_directory(listen.local_path)
        try:
            await self._bind(listen, tcp)
        except CannotListen:
            await self._grpc.stop()
            await self._local.stop(0)
            raise
        reach("rpc.sockets.bound")
        await self._grpc.serve()
        _log.info(
            "serving",
            socket=str(listen.socket_path),
            local_socket=str(listen.local_path),
            tcp_port=self.tcp_port,
        )

    async def _bind(self, listen: Listen, tcp: str) -> None:
        """Bind what can be taken by others first, and gRPC's socket, which never is, at the end."""
        if tcp:
            self.tcp_port = self._grpc.bind_tcp(tcp)
        await self._local.serve(listen.local_path)
        self._grpc.bind_socket(listen.socket_path)

    async def drain(self) -> None:
        """Say NOT_SERVING and refuse new requests with UNAVAILABLE; those running go on."""
        reach("rpc.drain.begin")
        self._gate.draining = True
        await self._grpc.drain()

    async def stop(self, grace_s: float) -> None:
        """Drain, wait up to grace_s for running requests, cancel the others, and see them end.

        A second call with a shorter grace, even while the first still waits, ends the wait. No
        operation is hurt: handlers only wait for what the sandboxes' workers do.
        """
        await self.drain()
        await self._gate.idle(grace_s)
        reach("rpc.stop.begin")
        await self._grpc.stop()
        await self._local.stop(_CLEANUP_S)
        reach("rpc.stop.ended")
        if not await self._gate.idle(_CLEANUP_S):
            _log.error("handlers did not end when cancelled", waited_s=_CLEANUP_S)
