"""cubecli backup: what it asks, and where it says the copy is."""

from __future__ import annotations

import json

import grpc
import pytest

from cubelet.api.v1.node_pb2 import BackupRequest, BackupResponse
from tests.unit.cli.conftest import FakeAgent, Refusal, cubecli


@pytest.fixture
def made(agent: FakeAgent) -> FakeAgent:
    agent.replies["Backup"] = BackupResponse(path="/state/backups/one\x1b.db", bytes=1 << 40)
    return agent


def test_it_prints_where_the_copy_is(made: FakeAgent) -> None:
    result = cubecli(made.place, "backup", "one")
    assert (result.exit_code, result.stdout) == (0, "/state/backups/one\\x1b.db\n")
    assert made.requests == [BackupRequest(name="one")]


def test_the_agent_may_choose_the_name(made: FakeAgent) -> None:
    result = cubecli(made.place, "backup", "-o", "json")
    assert json.loads(result.stdout) == {"path": "/state/backups/one\x1b.db", "bytes": 1 << 40}
    assert made.requests == [BackupRequest()]


def test_a_name_that_is_taken(made: FakeAgent) -> None:
    made.refusals["backup"] = Refusal(
        grpc.StatusCode.ALREADY_EXISTS, "backup one exists", "BACKUP_EXISTS"
    )
    result = cubecli(made.place, "backup", "one")
    assert (result.exit_code, result.stdout) == (6, "")
    assert result.stderr == "cubecli: backup one exists\n"
