"""The way to the agent: one channel, and calls whose failures are ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import click
import grpc

from cubelet.api.v1.node_pb2_grpc import NodeStub
from cubelet.api.v1.sandboxes_pb2 import ListRequest, Sandbox, State
from cubelet.api.v1.sandboxes_pb2_grpc import SandboxesStub
from cubelet.cli.failure import Exit, Failure
from cubelet.cli.failures import failure_of
from cubelet.cli.settings import Settings

# An agent that starts just now is found at the next try, a tenth of a second later. A proxy from
# the environment has no business between two programs of one machine.
_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
]
#: sun_path less its NUL; gRPC would name the limit without the path.
_SOCKET_PATH_BYTES_MAX = 107
#: Pages of 500; an agent that has more than this is one that repeats itself.
_PAGES_MAX = 1000

Request = TypeVar("Request")
Response = TypeVar("Response")


class Client:
    """Both services of the agent. `call` raises Failure, and nothing of gRPC's."""

    def __init__(self, channel: grpc.Channel, settings: Settings) -> None:
        self.sandboxes = SandboxesStub(channel)
        self.node = NodeStub(channel)
        self._settings = settings

    def call(
        self, method: grpc.UnaryUnaryMultiCallable[Request, Response], request: Request
    ) -> Response:
        """Make the call, and wait for its answer as long as --timeout says."""
        try:
            return method(request, timeout=self._settings.timeout_s)
        except grpc.RpcError as problem:
            raise failure_of(problem, self._settings) from problem

    def list(
        self, *, states: Sequence[State.ValueType] = (), labels: Mapping[str, str] | None = None
    ) -> Iterator[Sandbox]:
        """All sandboxes in these states (none: in any) with all these labels, page by page."""
        token = ""
        for _ in range(_PAGES_MAX):
            request = ListRequest(states=states, labels=labels, page_token=token)
            page = self.call(self.sandboxes.List, request)
            yield from page.sandboxes
            token = page.next_page_token
            if not token:
                return
        raise Failure(f"the agent's list did not end after {_PAGES_MAX} pages", Exit.FAILED)


@contextmanager
def connected() -> Iterator[Client]:
    """A client of the agent that the global options name. Connects with the first call."""
    settings = click.get_current_context().find_object(Settings)
    assert settings is not None  # noqa: S101  # The group sets it before any command runs.
    with grpc.insecure_channel(_target(settings), options=_OPTIONS) as channel:
        yield Client(channel, settings)


def _target(settings: Settings) -> str:
    place = settings.place
    if not settings.is_socket:
        return place
    length = len(place.encode(errors="surrogateescape"))
    if length > _SOCKET_PATH_BYTES_MAX:
        limit = f"a unix socket's path has at most {_SOCKET_PATH_BYTES_MAX}"
        raise click.UsageError(f"--address {place} has {length} bytes, {limit}")
    return f"unix:{place}"
