"""The short way to an agent on this machine: ttrpc on its local socket, without gRPC."""

from __future__ import annotations

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from cubelet.cli.failure import Failure
from cubelet.cli.failures import Refusal, failure_of, no_answer, reason_in, unreachable
from cubelet.cli.settings import Settings
from cubelet.cli.wire import reply_type
from shimclient.blocking import BlockingClient
from shimclient.errors import LocalDeadline, ShimError, StatusError


class TtrpcWire:
    """A Wire. The agent is told how long we wait; it goes on when we are gone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: BlockingClient | None = None

    def call(self, method: MethodDescriptor, request: Message) -> Message:
        """The method's reply; raises Failure."""
        try:
            return self._open().call(
                method.containing_service.full_name,
                method.name,
                request,
                reply_type(method),
                local_timeout_s=self._settings.timeout_s,
                wire_timeout_s=self._settings.timeout_s,
            )
        except ShimError as problem:
            raise self._failure(problem) from problem

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()

    def _open(self) -> BlockingClient:
        if self._connection is None or self._connection.closed:
            self._connection = BlockingClient(self._settings.place)
        return self._connection

    def _failure(self, problem: ShimError) -> Failure:
        if isinstance(problem, StatusError):
            refusal = Refusal(problem.code, problem.message, reason_in(problem.details))
            return failure_of(refusal, self._settings)
        if isinstance(problem, LocalDeadline):
            return no_answer(self._settings)
        return unreachable(self._settings)
