"""The local door: ttrpc on a unix socket, for callers on this machine.

It costs them a fifteenth of what gRPC does, and is all there by itself: each unary method of the
services that it is given, found by their descriptors. Streams are refused (code 12).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from pathlib import Path

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from cubelet.core.faults import Fault
from cubelet.rpc.gate import REQUEST_ID_KEY, REQUESTS_IN_FLIGHT_MAX, Gate
from cubelet.rpc.services import Service
from cubelet.rpc.sockets import bind_socket
from cubelet.rpc.statuses import status_of
from shimclient.errors import Code, StatusError
from shimclient.server import CallContext, Handler, Method, Server

_CALLERS_TIME_IS_OVER = "the time that the caller gave is over; what it asked for goes on"


class TtrpcDoor:
    """Serves the unary methods of all services that it is given."""

    def __init__(self, gate: Gate, services: Sequence[Service]) -> None:
        self._gate = gate
        self._server = Server(
            {service.descriptor.full_name: self._methods(service) for service in services},
            inflight_max=REQUESTS_IN_FLIGHT_MAX,
        )

    async def serve(self, path: Path) -> None:
        """Bind and answer. Raises CannotListen."""
        await self._server.serve_socket(bind_socket(path))

    async def stop(self, cleanup_s: float) -> None:
        """Stop listening, hang up and cancel what still runs, with so long to clean up."""
        self._server.cancel()
        await self._server.close(grace_s=cleanup_s)

    def _methods(self, service: Service) -> dict[str, Method]:
        return {
            method.name: Method(GetMessageClass(method.input_type), self._handler(service, method))
            for method in service.descriptor.methods
            if not (method.client_streaming or method.server_streaming)
        }

    def _handler(self, service: Service, method: MethodDescriptor) -> Handler:
        handle = getattr(service.handler, method.name)
        name = f"/{service.descriptor.full_name}/{method.name}"

        async def answer(request: Message, context: CallContext) -> Message:
            call = self._gate.called(name, *context.metadata.get(REQUEST_ID_KEY, [""])[:1])
            try:
                async with _limited(context.wire_timeout_s):
                    reply = await self._gate.answer(call, partial(handle, request, None))
            except TimeoutError:
                # Without details, as gRPC's own: it is not the agent that decided this.
                raise StatusError(Code.DEADLINE_EXCEEDED, _CALLERS_TIME_IS_OVER) from None
            if isinstance(reply, Fault):
                status = status_of(reply, request_id=call.request_id)
                raise StatusError(status.code, status.message, tuple(status.details))
            assert isinstance(reply, Message)  # noqa: S101  # For the checker: a Fault or a reply.
            return reply

        return answer


def _limited(timeout_s: float | None) -> AbstractAsyncContextManager[object]:
    """The caller's own limit; most have none, and pay nothing for it."""
    return nullcontext() if timeout_s is None else asyncio.timeout(timeout_s)
