"""cubecli doctor: what it asks, what a person reads, and the exit code that a script goes by."""

from __future__ import annotations

import json

import pytest

from cubelet.api.v1.node_pb2 import DoctorRequest, DoctorResponse, Orphan
from tests.unit.cli.conftest import FakeAgent, cubecli

LOST = Orphan(
    sandbox_id="lost",
    runtime="shimv2",
    found=["living shim, process 71 (containerd-shim-runc-v2)", "bundle /s/sandboxes/lost"],
)
IMAGE = Orphan(runtime="fake", found=["snapshot /s/snapshots/one"])


def test_nothing_is_an_orphan(agent: FakeAgent) -> None:
    agent.replies["Doctor"] = DoctorResponse()
    ran = cubecli(agent.place, "doctor")
    assert (ran.exit_code, ran.stdout) == (0, "no orphans\n")
    assert agent.requests == [DoctorRequest(fix=False)]


def test_each_is_told_with_all_that_is_there_and_what_fix_would_do(agent: FakeAgent) -> None:
    agent.replies["Doctor"] = DoctorResponse(orphans=[LOST, IMAGE], more=2)
    ran = cubecli(agent.place, "doctor")
    assert ran.exit_code == 8
    assert ran.stdout.splitlines() == [
        "lost  shimv2  no record owns it",
        "  living shim, process 71 (containerd-shim-runc-v2)",
        "  bundle /s/sandboxes/lost",
        "snapshot  fake  no catalog has it",
        "  snapshot /s/snapshots/one",
        "and 2 more, which are told of when these are gone",
        "4 left; `cubecli doctor --fix` kills what lives of them and removes it all",
    ]


@pytest.mark.parametrize(
    ("failure", "code", "first", "last"),
    [
        ("", 0, "lost  shimv2  removed", "nothing is left"),
        (
            "busy\x1b[2J",
            8,
            "lost  shimv2  not removed: busy\\x1b[2J",
            "1 left; run it again, or see the reasons above",
        ),
    ],
)
def test_what_became_of_each(
    agent: FakeAgent, failure: str, code: int, first: str, last: str
) -> None:
    done = Orphan(removed=not failure, failure=failure)
    done.MergeFrom(LOST)
    agent.replies["Doctor"] = DoctorResponse(orphans=[done])
    ran = cubecli(agent.place, "doctor", "--fix")
    lines = ran.stdout.splitlines()
    assert (ran.exit_code, lines[0], lines[-1]) == (code, first, last)
    assert agent.requests == [DoctorRequest(fix=True)]


def test_for_programs(agent: FakeAgent) -> None:
    agent.replies["Doctor"] = DoctorResponse(orphans=[LOST], more=1)
    ran = cubecli(agent.place, "doctor", "-o", "json")
    assert ran.exit_code == 8
    assert json.loads(ran.stdout) == {
        "orphans": [
            {
                "sandbox_id": "lost",
                "runtime": "shimv2",
                "found": list(LOST.found),
                "removed": False,
                "failure": "",
            }
        ],
        "more": 1,
    }
