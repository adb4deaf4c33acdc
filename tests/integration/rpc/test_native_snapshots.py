"""Commit, Rollback, ListSnapshots, bindings, keys and preconditions, over a real socket."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import grpc.aio
import pytest

from cubelet.api.v1 import sandboxes_pb2 as pb
from cubelet.api.v1.sandboxes_pb2_grpc import SandboxesStub
from cubelet.core.bindings import Binding, Bindings
from cubelet.core.inputs import Expected
from cubelet.core.model import State
from tests.integration.rpc.conftest import details
from tests.unit.rpc.fakes import START_NS, FakeAgent, make_snapshot

if TYPE_CHECKING:
    # The generated code has this name in its types only.
    from cubelet.api.v1.sandboxes_pb2_grpc import SandboxesAsyncStub


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> SandboxesAsyncStub:
    return SandboxesStub(channel)


async def test_commit_then_rollback(stub: SandboxesAsyncStub, agent: FakeAgent) -> None:
    agent.add("s1")
    request = pb.CommitRequest(id="s1", snapshot_id="snap", idempotency_key="k-1")
    taken = await stub.Commit(request, timeout=10)
    assert taken.snapshot.created_at.ToNanoseconds() == START_NS + 500_000_000
    taken.snapshot.ClearField("created_at")
    assert taken.snapshot == pb.Snapshot(
        id="snap",
        kind="runtime_snapshot",
        runtime="fake",
        sandbox_id="s1",
        mode="full",
        generation=7,
        path="/snapshots/snap",
    )
    assert taken.sandbox.bindings.runtime.snapshot_id == "snap"
    back = pb.RollbackRequest(id="s1", snapshot_id="snap", idempotency_key="k-2")
    gone_back = (await stub.Rollback(back, timeout=10)).sandbox
    assert gone_back.bindings.restore.snapshot_id == "snap"
    assert [key.value for key in agent.keys if key] == ["k-1", "k-2"]


async def test_bindings_and_their_labels(stub: SandboxesAsyncStub, agent: FakeAgent) -> None:
    pending = Binding(snapshot_id="next", attached_at_ns=START_NS + 1, proven=False)
    agent.records["s1"] = replace(agent.add("s1"), bindings=Bindings(runtime=pending, generation=3))
    agent.add("s2")
    shown = (await stub.Get(pb.GetRequest(id="s1"), timeout=10)).sandbox
    assert shown.bindings.runtime.unproven
    assert shown.bindings.runtime.attached_at.ToNanoseconds() == START_NS + 1
    assert not shown.bindings.HasField("restore")
    assert shown.bindings.generation == 3
    label = "cube.master.runtime.snapshot.id"
    assert shown.labels[label] == "next"
    assert not shown.spec.labels
    found = await stub.List(pb.ListRequest(labels={label: "next"}), timeout=10)
    assert [sandbox.id for sandbox in found.sandboxes] == ["s1"]
    other = (await stub.Get(pb.GetRequest(id="s2"), timeout=10)).sandbox
    assert not other.HasField("bindings")
    assert not other.labels


async def test_the_catalog_page_by_page(stub: SandboxesAsyncStub, agent: FakeAgent) -> None:
    agent.catalog = [
        replace(make_snapshot(f"snap-{n}"), created_at_ns=START_NS + n // 2) for n in range(5)
    ]
    request, found = pb.ListSnapshotsRequest(page_size=2), list[str]()
    while True:
        page = await stub.ListSnapshots(request, timeout=10)
        found += [snapshot.id for snapshot in page.snapshots]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert found == [f"snap-{n}" for n in range(5)]


async def test_what_is_taken_for_granted_reaches_the_agent(
    stub: SandboxesAsyncStub, agent: FakeAgent
) -> None:
    agent.add("s1")
    running = pb.PauseRequest(id="s1", expected_epoch=1, expected_state=pb.STATE_RUNNING)
    await stub.Pause(running, timeout=10)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Resume(pb.ResumeRequest(id="s1", expected_state=pb.STATE_RUNNING), timeout=10)
    assert details(caught.value)[0].reason == "UNEXPECTED_STATE"
    await stub.Resume(pb.ResumeRequest(id="s1"), timeout=10)
    assert agent.expected == [
        Expected(epoch=1, state=State.RUNNING),
        Expected(state=State.RUNNING),
        Expected(),
    ]


async def test_every_change_takes_a_key(stub: SandboxesAsyncStub, agent: FakeAgent) -> None:
    spec = pb.Spec(args=["x"], snapshot="snap")
    await stub.Create(pb.CreateRequest(id="s1", spec=spec, idempotency_key="a"), timeout=10)
    await stub.Pause(pb.PauseRequest(id="s1", idempotency_key="b"), timeout=10)
    await stub.Resume(pb.ResumeRequest(id="s1", idempotency_key="c"), timeout=10)
    await stub.Delete(pb.DeleteRequest(id="s1", idempotency_key="d"), timeout=10)
    await stub.Create(pb.CreateRequest(id="s1", spec=spec), timeout=10)
    assert [key and key.value for key in agent.keys] == ["a", "b", "c", "d", None]
    assert agent.records["s1"].spec.snapshot == "snap"
