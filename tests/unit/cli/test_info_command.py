"""cubecli info: how the agent fares, for people and for programs."""

from __future__ import annotations

import json
import time

import pytest

from cubelet.api.v1.node_pb2 import StatusRequest, StatusResponse
from cubelet.api.v1.sandboxes_pb2 import Condition
from tests.unit.cli.conftest import FakeAgent, cubecli


@pytest.fixture
def status(agent: FakeAgent) -> StatusResponse:
    """The canned reply, empty at first."""
    told = agent.replies["Status"] = StatusResponse()
    return told


def test_a_calm_node_in_a_few_lines(agent: FakeAgent, status: StatusResponse) -> None:
    status.relist_age.FromMilliseconds(3_400)
    result = cubecli(agent.place, "info")
    assert (result.exit_code, agent.requests) == (0, [StatusRequest()])
    assert result.stdout == (
        "CONDITIONS\n  none\n\nSANDBOXES\n  none\n\n"
        "ROUNDS\n  the last round over all sandboxes ended 3s ago\n"
    )


def test_all_that_is_remarkable(agent: FakeAgent, status: StatusResponse) -> None:
    condition = Condition(kind="DEGRADED_STORE", evidence="disk full\x1b")
    condition.since.FromNanoseconds(time.time_ns() - 65 * 10**9)
    status.conditions.append(condition)
    status.sandboxes.update({"PAUSED": 2, "RUNNING": 13, "LATER": 1})
    status.unreadable["sb"] = "its record is no JSON"
    status.unreadable_more = 7
    assert cubecli(agent.place, "info").stdout.splitlines() == [
        "CONDITIONS",
        "  DEGRADED_STORE  for 1m  disk full\\x1b",
        "",
        "SANDBOXES",
        "  RUNNING  13",
        "  PAUSED   2",
        "  LATER    1",
        "",
        "UNREADABLE RECORDS",
        "  sb        its record is no JSON",
        "  and more  7 that are not shown here",
        "",
        "ROUNDS",
        "  the last round over all sandboxes ended 0s ago",
    ]


def test_the_same_as_a_document(agent: FakeAgent, status: StatusResponse) -> None:
    condition = Condition(kind="DEGRADED_STORE", evidence="disk full")
    condition.since.FromSeconds(1)
    status.conditions.append(condition)
    status.sandboxes["RUNNING"] = 1
    status.unreadable["sb"] = "why"
    status.relist_age.FromMilliseconds(1_500)
    assert json.loads(cubecli(agent.place, "info", "-o", "json").stdout) == {
        "conditions": [
            {"kind": "DEGRADED_STORE", "since": "1970-01-01T00:00:01Z", "evidence": "disk full"}
        ],
        "sandboxes": {"RUNNING": 1},
        "unreadable": {"sb": "why"},
        "unreadable_more": 0,
        "relist_age_s": 1.5,
    }
    assert '"relist_age_s": 1.5' in cubecli(agent.place, "info", "-o", "yaml").stdout
