"""snapshot commit, rollback and ls: what they ask, and what they print."""

from __future__ import annotations

import json
import time

import grpc
import yaml

from cubelet.api.v1.sandboxes_pb2 import (
    CommitRequest,
    CommitResponse,
    RollbackRequest,
    RollbackResponse,
    Sandbox,
    Snapshot,
    State,
)
from tests.unit.cli.conftest import FakeAgent, Refusal, cubecli


def snapshot(name: str, created_ns: int) -> Snapshot:
    made = Snapshot(
        id=name,
        kind="runtime_snapshot",
        runtime="fake",
        sandbox_id="box",
        mode="soft-dirty",
        base_id="base",
        generation=3,
        path=f"/p/{name}",
    )
    made.created_at.FromNanoseconds(created_ns)
    return made


def test_commit_shows_the_snapshot(agent: FakeAgent) -> None:
    taken = snapshot("one", time.time_ns() - 5 * 10**9)
    agent.replies["Commit"] = CommitResponse(snapshot=taken)
    result = cubecli(agent.place, "snapshot", "commit", "--key", "k", "box", "one")
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["ID", "SANDBOX", "RUNTIME", "MODE", "BASE", "CREATED"],
        ["one", "box", "fake", "soft-dirty", "base", "5s"],
    ]
    assert agent.requests == [CommitRequest(id="box", snapshot_id="one", idempotency_key="k")]


def test_a_snapshot_as_a_document(agent: FakeAgent) -> None:
    agent.replies["Commit"] = CommitResponse(snapshot=snapshot("one", 1_700_000_000_000_000_000))
    shown = cubecli(agent.place, "snapshot", "commit", "-o", "json", "box", "one").stdout
    assert json.loads(shown) == {
        "id": "one",
        "kind": "runtime_snapshot",
        "runtime": "fake",
        "sandbox_id": "box",
        "mode": "soft-dirty",
        "base_id": "base",
        "generation": 3,
        "created_at": "2023-11-14T22:13:20Z",
        "path": "/p/one",
    }


def test_rollback_shows_the_sandbox(agent: FakeAgent) -> None:
    sandbox = Sandbox(id="box", state=State.STATE_RUNNING)
    agent.replies["Rollback"] = RollbackResponse(sandbox=sandbox)
    result = cubecli(agent.place, "snapshot", "rollback", "box", "one", "-o", "yaml")
    assert yaml.safe_load(result.stdout)["state"] == "RUNNING"
    assert agent.requests == [RollbackRequest(id="box", snapshot_id="one")]


def test_ls_turns_every_page(agent: FakeAgent) -> None:
    agent.page_size = 2
    agent.snapshots = [snapshot(f"snap-{number}", 10**18) for number in range(5)]
    lines = cubecli(agent.place, "snapshot", "ls").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["ID", *(f"snap-{n}" for n in range(5))]
    assert len(agent.requests) == 3
    assert len(json.loads(cubecli(agent.place, "snapshot", "ls", "-o", "json").stdout)) == 5


def test_a_refusal_leads_to_the_catalog(agent: FakeAgent) -> None:
    agent.refusals["box"] = Refusal(grpc.StatusCode.NOT_FOUND, "no one", "SNAPSHOT_NOT_FOUND")
    result = cubecli(agent.place, "snapshot", "rollback", "box", "one")
    assert result.exit_code == 3
    assert result.stderr == "cubecli: no one (try: cubecli snapshot ls)\n"
