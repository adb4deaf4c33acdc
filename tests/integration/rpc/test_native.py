"""The native API over a real socket: translation, typed errors, request ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import grpc.aio
import pytest
import structlog
from google.protobuf import duration_pb2
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from cubelet.api.v1 import sandboxes_pb2 as pb
from cubelet.api.v1.sandboxes_pb2_grpc import SandboxesStub
from cubelet.core.bindings import INVALID_BASE
from cubelet.core.faults import Code, Fault, Reason, error
from cubelet.core.model import Handle, LastSeen, Now, OpKind, State
from cubelet.core.spec import Spec
from cubelet.rpc.services import Needs
from tests.integration.rpc.conftest import Health, details
from tests.unit.rpc.fakes import START_NS, FakeAgent, open_operation

if TYPE_CHECKING:
    # The generated code has this name in its types only.
    from cubelet.api.v1.sandboxes_pb2_grpc import SandboxesAsyncStub


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> SandboxesAsyncStub:
    return SandboxesStub(channel)


async def test_create_pause_resume_delete(stub: SandboxesAsyncStub, agent: FakeAgent) -> None:
    spec = pb.Spec(
        runtime="fake",
        template="busybox",
        args=["sh", "-c", "x"],
        env={"A": "1"},
        cwd="/w",
        resources=pb.Resources(cpu_milli=500, memory_bytes=1 << 20),
        labels={"team": "red"},
        annotations={"note": "n"},
        prestop=[
            pb.HttpHook(
                host="h",
                port=80,
                path="/p",
                headers={"X-A": "b"},
                timeout=duration_pb2.Duration(seconds=1, nanos=500_000_000),
            )
        ],
    )
    request = pb.CreateRequest(id="s1", namespace="ns", spec=spec)
    created = (await stub.Create(request, timeout=10)).sandbox
    assert (created.id, created.namespace, created.state) == ("s1", "ns", pb.STATE_RUNNING)
    assert created.spec == spec
    paused = (await stub.Pause(pb.PauseRequest(id="s1", expected_epoch=1), timeout=10)).sandbox
    assert paused.state == pb.STATE_PAUSED
    resumed = (await stub.Resume(pb.ResumeRequest(id="s1"), timeout=10)).sandbox
    assert resumed.state == pb.STATE_RUNNING
    await stub.Delete(pb.DeleteRequest(id="s1"), timeout=10)
    assert agent.records == {}


async def test_a_hook_without_time_is_skipped(stub: SandboxesAsyncStub, agent: FakeAgent) -> None:
    spec = pb.Spec(args=["x"], prestop=[pb.HttpHook(host="h", port=80)])
    made = (await stub.Create(pb.CreateRequest(id="s1", spec=spec), timeout=10)).sandbox
    assert not made.spec.prestop
    assert agent.records["s1"].spec.prestop == ()


async def test_a_record_with_everything(stub: SandboxesAsyncStub, agent: FakeAgent) -> None:
    failure = Fault(code=Code.INTERNAL, reason=Reason.RUNTIME_REFUSED, message="bad \udcff byte")
    agent.records["s1"] = replace(
        agent.add("s1"),
        spec=Spec(runtime="fake", args=("x",), annotations={"cubelet.compat/cpu": "1", "n": "v"}),
        open=replace(open_operation(OpKind.PAUSE), failure=failure),
        handle=Handle(
            address="", version=2, shim_pid=7, shim_start_ticks=0, pid=8, pid_start_ticks=0
        ),
        last_seen=LastSeen(evidence="e", cause="rpc", at=Now(wall_ns=START_NS + 9, mono_s=0)),
    )
    shown = (await stub.Get(pb.GetRequest(id="s1"), timeout=10)).sandbox
    assert shown.state == pb.STATE_PAUSING
    assert shown.pid == 8
    assert shown.created_at.ToNanoseconds() == START_NS
    assert shown.operation.started_at.ToNanoseconds() == START_NS + 3
    assert (shown.operation.kind, shown.operation.in_flight) == ("PAUSE", False)
    assert shown.operation.failure == "bad ? byte"
    assert shown.last_observation.at.ToNanoseconds() == START_NS + 9
    assert shown.spec.annotations == {"n": "v"}
    for absent in ("paused_at", "finished_at", "exit_code"):
        assert not shown.HasField(absent)


async def test_an_ended_sandbox_has_its_code_and_no_process(
    stub: SandboxesAsyncStub, agent: FakeAgent
) -> None:
    handle = Handle(address="", version=2, shim_pid=7, shim_start_ticks=0, pid=8, pid_start_ticks=0)
    agent.records["s1"] = replace(agent.add("s1", State.EXITED), handle=handle)
    shown = (await stub.Get(pb.GetRequest(id="s1"), timeout=10)).sandbox
    assert shown.HasField("exit_code")
    assert (shown.exit_code, shown.pid) == (0, 0)


async def test_only_get_takes_a_prefix(stub: SandboxesAsyncStub, agent: FakeAgent) -> None:
    agent.add("job-10")
    assert (await stub.Get(pb.GetRequest(id="job-1"), timeout=10)).sandbox.id == "job-10"
    for call in (
        stub.Pause(pb.PauseRequest(id="job-1"), timeout=10),
        stub.Resume(pb.ResumeRequest(id="job-1"), timeout=10),
        stub.Delete(pb.DeleteRequest(id="job-1"), timeout=10),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert agent.records["job-10"].state is State.RUNNING


async def test_list_by_state_label_and_page(stub: SandboxesAsyncStub, agent: FakeAgent) -> None:
    red = Spec(runtime="fake", args=("x",), labels={"team": "red", "n": "1"})
    for name in ("a", "b", "c"):
        agent.add(name, State.PAUSED, red)
    agent.add("d", State.RUNNING, red)
    agent.add("e", State.PAUSED)
    request = pb.ListRequest(
        states=[pb.STATE_PAUSED, pb.STATE_EXITED], labels={"team": "red"}, page_size=2
    )
    first = await stub.List(request, timeout=10)
    assert [sandbox.id for sandbox in first.sandboxes] == ["a", "b"]
    request.page_token = first.next_page_token
    second = await stub.List(request, timeout=10)
    assert [sandbox.id for sandbox in second.sandboxes] == ["c"]
    assert second.next_page_token == ""


WRONG: Sequence[tuple[Message, str]] = (
    (pb.ListRequest(states=[pb.STATE_UNSPECIFIED]), "states is 0"),
    (pb.ListRequest(states=[pb.State.ValueType(99)]), "states is 99"),
    (pb.ListRequest(page_token="x"), "page_token is 'x'"),  # noqa: S106 - no password.
    (pb.ListRequest(page_size=-1), "page_size is -1"),
    (pb.ListRequest(labels={"": "x"}), "labels name is ''"),
    (pb.GetRequest(id=""), "id '' is not an id"),
    (pb.PauseRequest(id="../x"), "id '../x' is not an id"),
    (pb.ResumeRequest(id="a b"), "id 'a b' is not an id"),
    (pb.DeleteRequest(id="x" * 77), "is not an id"),
    (pb.CreateRequest(id="a/b", spec=pb.Spec(args=["x"])), "id 'a/b' is not an id"),
    (pb.CreateRequest(namespace="/", spec=pb.Spec(args=["x"])), "namespace '/' is not an id"),
    (pb.PauseRequest(id="s1", expected_state=pb.State.ValueType(9)), "expected_state is 9"),
    (pb.ResumeRequest(id="s1", expected_state=pb.State.ValueType(9)), "expected_state is 9"),
    (pb.PauseRequest(id="s1", idempotency_key="a b"), "idempotency_key is 'a b'"),
    (pb.ResumeRequest(id="s1", idempotency_key="a b"), "idempotency_key is 'a b'"),
    (pb.DeleteRequest(id="s1", idempotency_key="a b"), "idempotency_key is 'a b'"),
    (
        pb.CreateRequest(spec=pb.Spec(args=["x"]), idempotency_key="a b"),
        "idempotency_key is 'a b'",
    ),
    (
        pb.CommitRequest(id="s1", snapshot_id="s", idempotency_key="a b"),
        "idempotency_key is 'a b'",
    ),
    (
        pb.RollbackRequest(id="s1", snapshot_id="s", idempotency_key="a b"),
        "idempotency_key is 'a b'",
    ),
    (pb.CommitRequest(id="s1"), "snapshot_id '' is not an id"),
    (pb.CommitRequest(id="s1", snapshot_id="../x"), "snapshot_id '../x' is not an id"),
    (pb.CommitRequest(snapshot_id="x"), "id '' is not an id"),
    (pb.CommitRequest(id="s1", snapshot_id=INVALID_BASE), "it means that there is no base"),
    (pb.RollbackRequest(id="s1", snapshot_id=INVALID_BASE), "it means that there is no base"),
    (pb.ListSnapshotsRequest(page_size=-1), "page_size is -1"),
    (pb.ExplainRequest(), "id '' is not an id"),
    (pb.JournalRequest(id="../x"), "id '../x' is not an id"),
    (pb.JournalRequest(limit=-1), "limit is -1: use 1 to 1000"),
    (pb.JournalRequest(limit=1001), "limit is 1001: use 1 to 1000"),
    (pb.ReconcileRequest(), "id '' is not an id"),
    (pb.RepairRequest(), "id '' is not an id"),
    (
        pb.CreateRequest(spec=pb.Spec(args=["x"], snapshot=INVALID_BASE)),
        "snapshot is 'invalid-runtime-restore-base'",
    ),
    (
        pb.CreateRequest(spec=pb.Spec(args=["x"], labels={"cube.master.runtime.snapshot.id": "x"})),
        "label name is 'cube.master.runtime.snapshot.id'",
    ),
    (pb.CreateRequest(), r"args is []: name the program to run"),
    (
        pb.CreateRequest(spec=pb.Spec(args=["x"], annotations={"cubelet.compat/a": ""})),
        "is reserved",
    ),
)


@pytest.mark.parametrize(
    ("request_message", "text"),
    WRONG,
    ids=[f"{type(request).__name__}: {text}" for request, text in WRONG],
)
async def test_what_is_wrong_is_named(
    channel: grpc.aio.Channel, agent: FakeAgent, request_message: Message, text: str
) -> None:
    name = type(request_message).__name__.removesuffix("Request")
    call = getattr(SandboxesStub(channel), name)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(request_message, timeout=10)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert text in (caught.value.details() or "")
    info, retry = details(caught.value)
    assert (info.reason, info.domain, retry) == ("BAD_REQUEST", "cubelet", False)
    assert agent.calls == []


@pytest.mark.parametrize(
    ("failure", "code", "retry"),
    [
        (error(Code.NOT_FOUND, Reason.SANDBOX_NOT_FOUND, "m"), grpc.StatusCode.NOT_FOUND, False),
        (error(Code.ABORTED, Reason.PAUSE_IN_PROGRESS, "m"), grpc.StatusCode.ABORTED, True),
        (
            error(Code.DEADLINE_EXCEEDED, Reason.RUNTIME_DEADLINE, "m"),
            grpc.StatusCode.DEADLINE_EXCEEDED,
            True,
        ),
    ],
    ids=str,
)
async def test_a_fault_becomes_a_typed_status(
    stub: SandboxesAsyncStub,
    agent: FakeAgent,
    failure: Exception,
    code: grpc.StatusCode,
    retry: bool,  # noqa: FBT001 - pytest gives it by name.
) -> None:
    agent.failures["pause"] = failure
    metadata = (("x-request-id", "mine-1"),)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Pause(pb.PauseRequest(id="s1"), metadata=metadata, timeout=10)
    assert (caught.value.code(), caught.value.details()) == (code, "m")
    info, has_retry = details(caught.value)
    assert has_retry is retry
    assert dict(info.metadata) == {"request_id": "mine-1"}


async def test_an_exception_leaks_nothing_and_can_be_found(
    stub: SandboxesAsyncStub, agent: FakeAgent, needs: Needs
) -> None:
    agent.failures["pause"] = RuntimeError("the secret is hunter2")
    with structlog.testing.capture_logs() as lines, pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Pause(pb.PauseRequest(id="s1"), timeout=10)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "hunter2" not in f"{caught.value.details()} {caught.value.trailing_metadata()}"
    (incident,) = [line for line in lines if line["event"] == "unexpected exception"]
    assert incident["incident"] in (caught.value.details() or "")
    (request,) = [line for line in lines if line["event"] == "request"]
    assert request["outcome"] == "BUG"
    assert incident["request_id"] == request["request_id"]
    labels = {"method": "/cubelet.api.v1.Sandboxes/Pause", "outcome": "BUG"}
    sample = needs.metrics.registry.get_sample_value("cubelet_rpc_requests_total", labels)
    assert sample == 1


@pytest.mark.parametrize(
    ("sent", "usable"), [("mine", True), ("x" * 128, True), ("x" * 129, False), (None, False)]
)
async def test_a_request_id_comes_back(
    stub: SandboxesAsyncStub,
    agent: FakeAgent,
    sent: str | None,
    usable: bool,  # noqa: FBT001
) -> None:
    agent.add("s1")
    metadata = (("x-request-id", sent),) if sent else ()
    call = stub.Get(pb.GetRequest(id="s1"), metadata=metadata, timeout=10)
    await call
    found = dict(iter(await call.trailing_metadata()))
    assert (found["x-request-id"] == sent) is usable
    assert len(found["x-request-id"]) > 0


async def test_health_checks_are_not_counted(check_health: Health, needs: Needs) -> None:
    await check_health(health_pb2.HealthCheckRequest(), timeout=10)
    families = {m.name: m.samples for m in needs.metrics.registry.collect()}
    assert families["cubelet_rpc_requests"] == []
