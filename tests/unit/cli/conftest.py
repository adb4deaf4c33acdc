"""Real servers on a socket, whose answers a test cans, and cubecli run against each."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import grpc
import pytest
from click.testing import CliRunner, Result
from google.protobuf import any_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc_status import rpc_status

from cubelet.api.v1 import node_pb2, node_pb2_grpc, sandboxes_pb2, sandboxes_pb2_grpc
from cubelet.api.v1.sandboxes_pb2 import Sandbox, Snapshot, State
from cubelet.cli.main import cli
from cubelet.places import LOCAL_SUFFIX
from shimclient.errors import StatusError
from shimclient.server import CallContext, Handler, Method, Server


@dataclass(frozen=True)
class Refusal:
    """How a call of the fake agent fails; no reason: as a failure of gRPC's own."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    domain: str = "cubelet"


@dataclass
class FakeAgent(sandboxes_pb2_grpc.SandboxesServicer, node_pb2_grpc.NodeServicer):
    """Answers from `sandboxes`; fails for an id in `refusals`, never answers a `silent` one.

    What says why and what makes snapshots answers what is canned in `replies`, by the method.
    """

    place: str
    sandboxes: dict[str, Sandbox] = field(default_factory=dict)
    refusals: dict[str, Refusal] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    requests: list[Message] = field(default_factory=list)
    page_size: int = 500
    replies: dict[str, Message] = field(default_factory=dict)
    snapshots: list[Snapshot] = field(default_factory=list)

    def add(self, sandbox_id: str, state: State.ValueType = State.STATE_RUNNING) -> Sandbox:
        sandbox = Sandbox(id=sandbox_id, namespace="default", state=state)
        self.sandboxes[sandbox_id] = sandbox
        return sandbox

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._seen(request, request.id, context)
        made = self.add(request.id or "made")
        made.spec.CopyFrom(request.spec)
        return sandboxes_pb2.CreateResponse(sandbox=made)

    def Get(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._seen(request, request.id, context)
        return sandboxes_pb2.GetResponse(sandbox=self.sandboxes[request.id])

    def List(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._seen(request, "list", context)
        wanted = set(request.states)
        found = [one for one in self.sandboxes.values() if not wanted or one.state in wanted]
        start = int(request.page_token or 0)
        end = start + self.page_size
        token = str(end) if end < len(found) else ""
        return sandboxes_pb2.ListResponse(sandboxes=found[start:end], next_page_token=token)

    def Pause(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._seen(request, request.id, context)
        return sandboxes_pb2.PauseResponse(sandbox=Sandbox(id=request.id))

    def Resume(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._seen(request, request.id, context)
        return sandboxes_pb2.ResumeResponse(sandbox=Sandbox(id=request.id))

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._seen(request, request.id, context)
        return sandboxes_pb2.DeleteResponse()

    def Explain(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._seen(request, request.id, context)
        return self.replies["Explain"]

    def Journal(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._seen(request, request.id, context)
        return self.replies["Journal"]

    def Reconcile(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._seen(request, request.id, context)
        return self.replies["Reconcile"]

    def Repair(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._seen(request, request.id, context)
        return self.replies["Repair"]

    def Commit(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._seen(request, request.id, context)
        return self.replies["Commit"]

    def Rollback(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._seen(request, request.id, context)
        return self.replies["Rollback"]

    def ListSnapshots(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._seen(request, "snapshots", context)
        start = int(request.page_token or 0)
        end = start + self.page_size
        token = str(end) if end < len(self.snapshots) else ""
        return sandboxes_pb2.ListSnapshotsResponse(
            snapshots=self.snapshots[start:end], next_page_token=token
        )

    def Version(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._seen(request, "version", context)
        return node_pb2.VersionResponse(version="9.8.7", sqlite="3", runtimes=["shimv2", "process"])

    def Doctor(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._seen(request, "doctor", context)
        return self.replies["Doctor"]

    def Status(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._seen(request, "info", context)
        return self.replies["Status"]

    def Backup(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._seen(request, "backup", context)
        return self.replies["Backup"]

    def _seen(self, request: Message, name: str, context: grpc.ServicerContext) -> None:
        self.requests.append(request)
        if name in self.refusals:
            _refuse(context, self.refusals[name])
        if name in self.silent:
            gone = threading.Event()
            if context.add_callback(gone.set):
                gone.wait()


def _refuse(context: grpc.ServicerContext, refusal: Refusal) -> NoReturn:
    if not refusal.reason:
        context.abort(refusal.code, refusal.message)
    info = any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(reason=refusal.reason, domain=refusal.domain))
    code = refusal.code.value[0]
    status = status_pb2.Status(code=code, message=refusal.message, details=[info])
    context.abort_with_status(rpc_status.to_status(status))


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose path leaves room for a socket's name."""
    path = Path(tempfile.mkdtemp(prefix="cli"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(params=["grpc", "ttrpc"])
def agent(short_path: Path, request: pytest.FixtureRequest) -> Iterator[FakeAgent]:
    """The same agent behind either door."""
    suffix = LOCAL_SUFFIX if request.param == "ttrpc" else ""
    fake = FakeAgent(place=str(short_path / f"s{suffix}"))
    with {"grpc": served_over_grpc, "ttrpc": served_over_ttrpc}[request.param](fake):
        yield fake


@contextmanager
def served_over_grpc(fake: FakeAgent) -> Iterator[None]:
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    sandboxes_pb2_grpc.add_SandboxesServicer_to_server(fake, server)
    node_pb2_grpc.add_NodeServicer_to_server(fake, server)
    server.add_insecure_port(f"unix:{fake.place}")
    server.start()
    yield
    server.stop(None).wait()


@contextmanager
def served_over_ttrpc(fake: FakeAgent) -> Iterator[None]:
    gone = threading.Event()
    services = {
        service.full_name: {
            method.name: over_ttrpc(fake, method, gone) for method in service.methods
        }
        for service in (
            sandboxes_pb2.DESCRIPTOR.services_by_name["Sandboxes"],
            node_pb2.DESCRIPTOR.services_by_name["Node"],
        )
    }
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(begin(services, fake.place), loop).result(10)
    yield
    gone.set()
    asyncio.run_coroutine_threadsafe(server.close(grace_s=10), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


async def begin(services: dict[str, dict[str, Method]], place: str) -> Server:
    server = Server(services)
    await server.serve_path(place)
    return server


def over_ttrpc(fake: FakeAgent, method: MethodDescriptor, gone: threading.Event) -> Method:
    async def handler(request: Any, _: CallContext) -> Message:
        reply: Message = await asyncio.to_thread(
            getattr(fake, method.name), request, TtrpcContext(gone)
        )
        return reply

    answering: Handler = handler
    return Method(GetMessageClass(method.input_type), answering)


@dataclass
class TtrpcContext:
    """What the fake agent uses of gRPC's context, for ttrpc."""

    gone: threading.Event

    def abort(self, code: grpc.StatusCode, message: str) -> NoReturn:
        raise StatusError(code.value[0], message)

    def abort_with_status(self, status: Any) -> NoReturn:
        rich = status_pb2.Status.FromString(
            dict(status.trailing_metadata)["grpc-status-details-bin"]
        )
        raise StatusError(rich.code, rich.message, tuple(rich.details))

    def add_callback(self, callback: Any) -> bool:
        threading.Thread(target=lambda: (self.gone.wait(), callback())).start()
        return True


def cubecli(place: str, *args: str) -> Result:
    return CliRunner().invoke(cli, ["--address", place, *args], prog_name="cubecli")
