"""The agent as the commands see it: its services, each method a call whose failures are ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import click
from google.protobuf.descriptor import ServiceDescriptor

from cubelet.api.v1 import node_pb2, sandboxes_pb2
from cubelet.api.v1.sandboxes_pb2 import (
    ListRequest,
    ListSnapshotsRequest,
    Sandbox,
    Snapshot,
    State,
)
from cubelet.cli.failure import Exit, Failure
from cubelet.cli.settings import Settings
from cubelet.cli.wire import Wire
from cubelet.places import SOCKET_PATH_BYTES_MAX

if TYPE_CHECKING:
    # For their types only: our own stubs below work on every wire.
    from cubelet.api.v1.node_pb2_grpc import NodeStub
    from cubelet.api.v1.sandboxes_pb2_grpc import SandboxesStub

#: Pages of 500; an agent that has more than this is one that repeats itself.
_PAGES_MAX = 1000


class Stub:
    """One service of the agent: its methods by name, each called with its request alone."""

    def __init__(self, service: ServiceDescriptor, wire: Wire) -> None:
        self._methods = service.methods_by_name
        self._wire = wire

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        """Find the method; its call gives the reply or raises Failure, and nothing else."""
        if name not in self._methods:
            raise AttributeError(name)
        return partial(self._wire.call, self._methods[name])


class Client:
    """Both services: `agent.sandboxes.Pause(PauseRequest(id="box"))` gives a PauseResponse.

    Every call waits for its answer as long as --timeout says, and raises Failure.
    """

    def __init__(self, wire: Wire) -> None:
        sandboxes = sandboxes_pb2.DESCRIPTOR.services_by_name["Sandboxes"]
        node = node_pb2.DESCRIPTOR.services_by_name["Node"]
        self.sandboxes = cast("SandboxesStub", Stub(sandboxes, wire))
        self.node = cast("NodeStub", Stub(node, wire))

    def list(
        self, *, states: Sequence[State.ValueType] = (), labels: Mapping[str, str] | None = None
    ) -> Iterator[Sandbox]:
        """All sandboxes in these states (none: in any) with all these labels, page by page."""
        for page in _pages(
            lambda token: self.sandboxes.List(
                ListRequest(states=states, labels=labels, page_token=token)
            )
        ):
            yield from page.sandboxes

    def snapshots(self) -> Iterator[Snapshot]:
        """The catalog, oldest first, page by page."""
        for page in _pages(
            lambda token: self.sandboxes.ListSnapshots(ListSnapshotsRequest(page_token=token))
        ):
            yield from page.snapshots


class _Page(Protocol):
    next_page_token: str


P = TypeVar("P", bound=_Page)


def _pages(turn: Callable[[str], P]) -> Iterator[P]:
    token = ""
    for _ in range(_PAGES_MAX):
        page = turn(token)
        yield page
        token = page.next_page_token
        if not token:
            return
    raise Failure(f"the agent's list did not end after {_PAGES_MAX} pages", Exit.FAILED)


@contextmanager
def connected() -> Iterator[Client]:
    """A client of the agent that the global options name. Connects with the first call."""
    settings = click.get_current_context().find_object(Settings)
    assert settings is not None  # noqa: S101  # The group sets it before any command runs.
    _check_length(settings)
    wire = _wire(settings)
    try:
        yield Client(wire)
    finally:
        wire.close()


def _wire(settings: Settings) -> Wire:
    """The wire that the address asks for; only that one is imported."""
    if settings.is_local:
        from cubelet.cli.over_ttrpc import TtrpcWire  # noqa: PLC0415

        return TtrpcWire(settings)
    from cubelet.cli.over_grpc import GrpcWire  # noqa: PLC0415  # It takes longer than a call.

    return GrpcWire(settings)


def _check_length(settings: Settings) -> None:
    """Refuse a path that no socket can have; no wire would name it together with its limit."""
    length = len(settings.place.encode(errors="surrogateescape"))
    if settings.is_socket and length > SOCKET_PATH_BYTES_MAX:
        limit = f"a unix socket's path has at most {SOCKET_PATH_BYTES_MAX}"
        raise click.UsageError(f"--address {settings.place} has {length} bytes, {limit}")
