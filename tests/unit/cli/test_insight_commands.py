"""explain, journal, reconcile and repair: what they ask, and what a person reads."""

from __future__ import annotations

import json
import time

import pytest
import yaml

from cubelet.api.v1.sandboxes_pb2 import (
    ExplainRequest,
    ExplainResponse,
    Forecast,
    JournalEntry,
    JournalRequest,
    JournalResponse,
    ReconcileRequest,
    ReconcileResponse,
    RepairRequest,
    RepairResponse,
    Sandbox,
    State,
)
from tests.unit.cli.conftest import FakeAgent, cubecli

AT_NS = 1_700_000_000_000_000_000
AT = "2023-11-14T22:13:20Z"


def entry(at_ns: int, before: State.ValueType, after: State.ValueType, detail: str) -> JournalEntry:
    made = JournalEntry(
        sandbox_id="demo",
        incarnation="first",
        revision=4,
        epoch=2,
        cause="rpc",
        before=before,
        after=after,
        operation_id="op2",
        detail=detail,
    )
    made.at.FromNanoseconds(at_ns)
    return made


def stuck(now_ns: int) -> ExplainResponse:
    """A pause that was given up two minutes ago."""
    began_ns = now_ns - 125 * 10**9
    sandbox = Sandbox(id="demo", state=State.STATE_PAUSING)
    sandbox.operation.id = "op2"
    sandbox.operation.kind = "PAUSE"
    sandbox.operation.call = "ABANDONED"
    sandbox.operation.failure = "the runtime gave no answer within 30 s"
    sandbox.operation.caller_answered = True
    sandbox.operation.attempt = 12
    sandbox.operation.started_at.FromNanoseconds(began_ns)
    sandbox.last_observation.evidence = "no answer: timed out"
    sandbox.last_observation.cause = "relist"
    sandbox.last_observation.at.FromNanoseconds(now_ns - 3 * 10**9)
    condition = sandbox.conditions.add(kind="OVERDUE", evidence="the pause is not settled")
    condition.since.FromNanoseconds(now_ns - 65 * 10**9)
    reply = ExplainResponse(
        sandbox=sandbox,
        why="a pause was begun, and the shim does not say what became of it",
        ways_out=["cubecli rm demo"],
        journal=[
            entry(began_ns - 10**12, State.STATE_UNSPECIFIED, State.STATE_CREATED, "requested"),
            entry(began_ns, State.STATE_RUNNING, State.STATE_PAUSING, "pause requested"),
            entry(
                began_ns + 30 * 10**9, State.STATE_PAUSING, State.STATE_PAUSING, "gave up waiting"
            ),
        ],
    )
    step = reply.next_steps.add(what="the shim is asked again")
    step.after.FromMilliseconds(8500)
    reply.next_steps.add(what="it settles")
    return reply


def test_explain_is_read_in_ten_seconds(agent: FakeAgent) -> None:
    agent.replies["Explain"] = stuck(time.time_ns())
    result = cubecli(agent.place, "explain", "demo")
    assert result.exit_code == 0
    assert agent.requests == [ExplainRequest(id="demo")]
    assert result.stdout.splitlines() == [
        "demo is PAUSING for 2m: a pause was begun, and the shim does not say what became of it",
        "",
        "CONDITIONS",
        "  OVERDUE  for 1m  the pause is not settled",
        "",
        "OPEN OPERATION op2",
        "  asked       pause, 2m ago",
        "  call        given up by the agent; it may still happen",
        "  answer      the runtime gave no answer within 30 s",
        "  caller      has been told",
        "  since then  the shim was asked 12 times for the outcome",
        "",
        "LAST QUESTION TO THE SHIM",
        "  3s ago, by relist  no answer: timed out",
        "",
        "NEXT",
        "  in 8s  the shim is asked again",
        "  later  it settles",
        "",
        "WAYS OUT",
        "  cubecli rm demo",
        "",
        "JOURNAL",
        "  18m ago  rpc  new -> CREATED      requested",
        "  2m ago   rpc  RUNNING -> PAUSING  pause requested",
        "  1m ago   rpc  PAUSING             gave up waiting",
    ]


def test_explain_of_what_is_well_is_short(agent: FakeAgent) -> None:
    sandbox = Sandbox(id="demo", state=State.STATE_RUNNING)
    agent.replies["Explain"] = ExplainResponse(sandbox=sandbox, why="it was started")
    assert cubecli(agent.place, "explain", "demo").stdout.splitlines() == [
        "demo is RUNNING: it was started",
        "",
        "LAST QUESTION TO THE SHIM",
        "  none was asked yet",
        "",
        "NEXT",
        "  nothing, by itself",
    ]


def test_explain_says_what_a_call_in_flight_is(agent: FakeAgent) -> None:
    reply = stuck(time.time_ns())
    operation = reply.sandbox.operation
    operation.call, operation.failure, operation.attempt = "IN_FLIGHT", "", 0
    operation.caller_answered, operation.snapshot_id, operation.kind = False, "snap", "COMMIT"
    reply.next_steps[0].after.FromMilliseconds(10)
    agent.replies["Explain"] = reply
    shown = cubecli(agent.place, "explain", "demo").stdout
    assert "  asked   commit snap, 2m ago\n" in shown
    assert "  call    under way, the agent waits for it\n" in shown
    assert "  answer  none yet\n  caller  still waits\n\n" in shown
    assert "  now    the shim is asked again\n" in shown


def test_explain_counts_as_people_do(agent: FakeAgent) -> None:
    reply = stuck(time.time_ns())
    reply.sandbox.operation.attempt = 1
    agent.replies["Explain"] = reply
    shown = cubecli(agent.place, "explain", "demo").stdout
    assert "  since then  the shim was asked once for the outcome\n" in shown


def test_explain_lets_no_text_of_others_break_its_lines(agent: FakeAgent) -> None:
    reply = stuck(time.time_ns())
    evil = "\x1b[31m\nNEXT"
    reply.why = reply.sandbox.operation.id = reply.sandbox.operation.failure = evil
    reply.sandbox.last_observation.evidence = reply.ways_out[0] = evil
    reply.journal[0].detail = reply.sandbox.conditions[0].evidence = evil
    reply.next_steps[0].what = reply.sandbox.id = evil
    agent.replies["Explain"] = reply
    shown = cubecli(agent.place, "explain", "demo").stdout
    assert all(one.isprintable() for line in shown.split("\n") for one in line)
    assert shown.splitlines().count("NEXT") == 1


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_explain_as_a_document(agent: FakeAgent, output: str) -> None:
    agent.replies["Explain"] = stuck(AT_NS + 125 * 10**9)
    shown = cubecli(agent.place, "explain", "-o", output, "demo").stdout
    document = yaml.safe_load(shown) if output == "yaml" else json.loads(shown)
    assert list(document) == ["sandbox", "why", "next_steps", "ways_out", "journal"]
    assert document["sandbox"]["conditions"][0]["kind"] == "OVERDUE"
    assert document["next_steps"] == [
        {"what": "the shim is asked again", "after_s": 8.5},
        {"what": "it settles", "after_s": None},
    ]
    assert document["journal"][1] == {
        "sandbox_id": "demo",
        "incarnation": "first",
        "revision": 4,
        "epoch": 2,
        "at": AT,
        "cause": "rpc",
        "before": "RUNNING",
        "after": "PAUSING",
        "operation_id": "op2",
        "detail": "pause requested",
    }
    assert document["journal"][0]["before"] is None


def test_the_journal_of_one_or_of_all(agent: FakeAgent) -> None:
    agent.replies["Journal"] = JournalResponse(
        entries=[
            entry(AT_NS, State.STATE_UNSPECIFIED, State.STATE_CREATED, "requested"),
            entry(AT_NS, State.STATE_RUNNING, State.STATE_PAUSING, "pause requested"),
        ]
    )
    lines = cubecli(agent.place, "journal", "demo", "--limit", "7").stdout.splitlines()
    assert [line.split(maxsplit=6) for line in lines] == [
        ["AT", "ID", "EPOCH", "CAUSE", "BEFORE", "AFTER", "DETAIL"],
        [AT, "demo", "2", "rpc", "-", "CREATED", "requested"],
        [AT, "demo", "2", "rpc", "RUNNING", "PAUSING", "pause requested"],
    ]
    documents = json.loads(cubecli(agent.place, "journal", "-o", "json").stdout)
    assert [one["after"] for one in documents] == ["CREATED", "PAUSING"]
    assert agent.requests == [JournalRequest(id="demo", limit=7), JournalRequest(limit=100)]


def test_reconcile_shows_the_sandbox_after_it(agent: FakeAgent) -> None:
    sandbox = Sandbox(id="demo", state=State.STATE_PAUSED)
    agent.replies["Reconcile"] = ReconcileResponse(sandbox=sandbox)
    lines = cubecli(agent.place, "reconcile", "demo").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["ID", "STATE"], ["demo", "PAUSED"]]
    document = json.loads(cubecli(agent.place, "reconcile", "demo", "-o", "json").stdout)
    assert (document["id"], document["state"]) == ("demo", "PAUSED")
    assert agent.requests == [ReconcileRequest(id="demo")] * 2


def test_a_dry_run_says_what_would_be_done(agent: FakeAgent) -> None:
    forecast = Forecast(
        evidence="shim says PAUSED (pid 8)",
        before=State.STATE_PAUSING,
        after=State.STATE_PAUSED,
        would=["write PAUSING -> PAUSED", "answer nobody"],
    )
    agent.replies["Reconcile"] = ReconcileResponse(forecast=forecast)
    shown = cubecli(agent.place, "reconcile", "--dry-run", "demo").stdout
    assert shown.splitlines() == [
        "answer  shim says PAUSED (pid 8)",
        "state   PAUSING -> PAUSED",
        "would   write PAUSING -> PAUSED",
        "would   answer nobody",
    ]
    document = yaml.safe_load(
        cubecli(agent.place, "reconcile", "--dry-run", "-o", "yaml", "demo").stdout
    )
    assert document == {
        "evidence": "shim says PAUSED (pid 8)",
        "before": "PAUSING",
        "after": "PAUSED",
        "would": ["write PAUSING -> PAUSED", "answer nobody"],
    }
    assert agent.requests == [ReconcileRequest(id="demo", dry_run=True)] * 2


def test_a_dry_run_that_would_do_nothing_says_so(agent: FakeAgent) -> None:
    same = Forecast(evidence="e", before=State.STATE_RUNNING, after=State.STATE_RUNNING)
    agent.replies["Reconcile"] = ReconcileResponse(forecast=same)
    shown = cubecli(agent.place, "reconcile", "--dry-run", "demo").stdout
    assert shown == "answer  e\nstate   RUNNING\nwould   do nothing\n"


def test_repair_shows_the_sandbox_after_it(agent: FakeAgent) -> None:
    sandbox = Sandbox(id="demo", state=State.STATE_RUNNING)
    agent.replies["Repair"] = RepairResponse(sandbox=sandbox)
    result = cubecli(agent.place, "repair", "demo")
    assert result.stdout.splitlines()[1].split()[:2] == ["demo", "RUNNING"]
    assert agent.requests == [RepairRequest(id="demo")]
