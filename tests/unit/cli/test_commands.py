"""Each command: what it asks the agent, and what it prints."""

from __future__ import annotations

import json
import time

import pytest
import yaml
from click.testing import CliRunner

import cubelet
from cubelet.api.v1.sandboxes_pb2 import (
    CreateRequest,
    DeleteRequest,
    HttpHook,
    ListRequest,
    PauseRequest,
    Resources,
    ResumeRequest,
    Spec,
    State,
)
from cubelet.cli.main import COMMANDS, cli
from tests.unit.cli.conftest import FakeAgent, cubecli


def test_run_asks_for_what_was_said(agent: FakeAgent) -> None:
    result = cubecli(
        agent.place,
        *("run", "--id", "box", "--runtime", "process", "--template", "t"),
        *("--snapshot", "snap", "--key", "k"),
        *("--env", "A=1", "--env", "B=x=y", "--env", "C=", "--cwd", "/w"),
        *("--cpus", "0.5", "--memory", "256Mi"),
        *("--label", "a=b", "--annotation", "c=d"),
        *("--", "sh", "-c", "echo --id"),
    )
    assert (result.exit_code, result.stdout) == (0, "box\n")
    spec = Spec(
        runtime="process",
        template="t",
        snapshot="snap",
        args=["sh", "-c", "echo --id"],
        env={"A": "1", "B": "x=y", "C": ""},
        cwd="/w",
        resources=Resources(cpu_milli=500, memory_bytes=256 * 2**20),
        labels={"a": "b"},
        annotations={"c": "d"},
    )
    assert agent.requests == [CreateRequest(id="box", spec=spec, idempotency_key="k")]


def test_run_leaves_the_rest_to_the_agent(agent: FakeAgent) -> None:
    result = cubecli(agent.place, "run", "sleep", "-x", "5")
    assert (result.exit_code, result.stdout) == (0, "made\n")
    assert agent.requests == [
        CreateRequest(spec=Spec(args=["sleep", "-x", "5"], resources=Resources()))
    ]


@pytest.mark.parametrize(
    "args",
    [
        ("run",),
        ("run", "--cpus", "0", "x"),
        ("run", "--cpus", "-1", "x"),
        ("run", "--cpus", "nan", "x"),
        ("run", "--cpus", "0.0005", "x"),
        ("run", "--cpus", "1e30", "x"),
        ("run", "--cpus", "two", "x"),
        ("run", "--memory", "0", "x"),
        ("run", "--memory", "1.5Gi", "x"),
        ("run", "--memory", "9999999999Ti", "x"),
        ("run", "--memory", "5m", "x"),
        ("run", "--env", "A", "x"),
        ("run", "--env", "=1", "x"),
        ("ps", "--state", "asleep"),
        ("ps", "-o", "xml"),
        ("pause",),
        ("resume",),
        ("inspect",),
        ("rm",),
        ("rm", "--all", "box"),
        ("fly",),
        ("pause", "--expect-state", "asleep", "box"),
        ("resume", "--expect-epoch", "0", "box"),
        ("explain",),
        ("explain", "a", "b"),
        ("journal", "a", "b"),
        ("journal", "--limit", "0"),
        ("journal", "--limit", "1001"),
        ("reconcile",),
        ("repair",),
        ("snapshot", "fly"),
        ("snapshot", "commit", "box"),
        ("snapshot", "rollback", "box"),
        ("snapshot", "ls", "box"),
        ("--timeout", "0", "ps"),
    ],
)
def test_a_wrong_command_line_is_refused_before_any_call(
    agent: FakeAgent, args: tuple[str, ...]
) -> None:
    result = cubecli(agent.place, *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: " in result.stderr
    assert agent.requests == []


@pytest.mark.parametrize(
    ("text", "expected"), [("5", 5), ("1K", 1000), ("1Ki", 1024), ("3G", 3 * 10**9), ("1Ti", 2**40)]
)
def test_memory_has_units(agent: FakeAgent, text: str, expected: int) -> None:
    cubecli(agent.place, "run", "--memory", text, "x")
    (request,) = agent.requests
    assert isinstance(request, CreateRequest)
    assert request.spec.resources.memory_bytes == expected


def test_ps_shows_one_line_each(agent: FakeAgent) -> None:
    now_ns = time.time_ns()
    running = agent.add("a")
    running.spec.runtime = "process"
    running.pid = 77
    running.created_at.FromNanoseconds(now_ns - 125 * 10**9)
    paused = agent.add("long-name", State.STATE_PAUSED)
    paused.created_at.FromNanoseconds(now_ns - 3 * 86_400 * 10**9)
    paused.paused_at.FromNanoseconds(now_ns - 7300 * 10**9)
    paused.conditions.add(kind="UNSEEN", evidence="no answer")
    paused.conditions.add(kind="BINDINGS_INVALID")
    result = cubecli(agent.place, "ps")
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["ID", "STATE", "RUNTIME", "CREATED", "PAUSED-SINCE", "PID", "EXIT", "CONDITIONS"],
        ["a", "RUNNING", "process", "2m", "-", "77", "-", "-"],
        ["long-name", "PAUSED", "-", "3d", "2h", "-", "-", "UNSEEN,BINDINGS_INVALID"],
    ]
    column = result.stdout.splitlines()[0].index("STATE")
    assert all(line[column - 2 : column] == "  " for line in result.stdout.splitlines())


def test_ps_shows_what_lives_unless_told(agent: FakeAgent) -> None:
    for state in list(State.values())[1:]:
        agent.add(State.Name(state).removeprefix("STATE_").lower(), state)
    live = ["created", "running", "pausing", "paused", "resuming"]
    assert cubecli(agent.place, "ps", "-q").stdout.split() == live
    assert cubecli(agent.place, "ps", "-aq").stdout.split() == [*live, "exited", "deleted"]
    one_or_other = ("--state", "exited", "--state", "PAUSED")
    assert cubecli(agent.place, "ps", "-q", *one_or_other).stdout.split() == ["paused", "exited"]


def test_ps_passes_labels_on(agent: FakeAgent) -> None:
    cubecli(agent.place, "ps", "-a", "--label", "a=b", "--label", "c=d")
    assert agent.requests == [ListRequest(labels={"a": "b", "c": "d"})]


def test_ps_turns_every_page(agent: FakeAgent) -> None:
    agent.page_size = 2
    for number in range(5):
        agent.add(f"box-{number}")
    assert cubecli(agent.place, "ps", "-q").stdout.split() == list(agent.sandboxes)
    assert len(agent.requests) == 3


def test_ps_of_nothing_is_a_header_or_an_empty_list(agent: FakeAgent) -> None:
    assert cubecli(agent.place, "ps").stdout.split()[0] == "ID"
    assert cubecli(agent.place, "ps", "-q").stdout == ""
    assert json.loads(cubecli(agent.place, "ps", "-o", "json").stdout) == []
    assert yaml.safe_load(cubecli(agent.place, "ps", "-o", "yaml").stdout) == []


def test_a_table_obeys_no_control_character(agent: FakeAgent) -> None:
    sandbox = agent.add("box", State.STATE_EXITED)
    sandbox.exit_reason = "\x1b[31mred\nbox2  RUNNING\x9b\u202e"
    sandbox.spec.runtime = "\r"
    for args in (("ps", "-a"), ("inspect", "-o", "table", "box")):
        output = cubecli(agent.place, *args).stdout
        assert all(character.isprintable() for line in output.split("\n") for character in line)
        assert "\\x1b[31mred\\x0abox2  RUNNING\\x9b\\u202e" in output
    assert len(cubecli(agent.place, "ps", "-a").stdout.splitlines()) == 2


def fill(agent: FakeAgent) -> dict[str, object]:
    """A sandbox with everything set, and the document that it is shown as."""
    sandbox = agent.add("box", State.STATE_EXITED)
    sandbox.exit_code = 0
    sandbox.exit_reason = "ended"
    sandbox.pid = 7
    sandbox.epoch = 2**60
    sandbox.revision = 3
    for stamp in ("created_at", "started_at", "paused_at", "finished_at"):
        getattr(sandbox, stamp).FromNanoseconds(1_700_000_000_123_456_789)
    at = "2023-11-14T22:13:20.123456789Z"
    sandbox.operation.id = "op"
    sandbox.operation.kind = "PAUSE"
    sandbox.operation.started_at.FromNanoseconds(1_700_000_000_123_456_789)
    sandbox.operation.failure = "lost"
    sandbox.operation.call = "LOST"
    sandbox.operation.caller_answered = True
    sandbox.operation.attempt = 3
    condition = sandbox.conditions.add(kind="OVERDUE", evidence="not settled")
    condition.since.FromNanoseconds(1_700_000_000_123_456_789)
    sandbox.bindings.runtime.snapshot_id = "snap"
    sandbox.bindings.runtime.unproven = True
    sandbox.bindings.runtime.attached_at.FromNanoseconds(1_700_000_000_123_456_789)
    sandbox.bindings.generation = 2
    sandbox.labels["a"] = "b"
    sandbox.last_observation.evidence = "shim says PAUSED"
    sandbox.last_observation.cause = "rpc"
    sandbox.last_observation.at.FromNanoseconds(1_700_000_000_123_456_789)
    sandbox.spec.CopyFrom(
        Spec(
            runtime="process",
            args=["yes", "", "\x9b\x00é😀", "- no: #"],
            env={"A": "null"},
            prestop=[HttpHook(host="h", port=80, path="/", headers={"a": "b"})],
        )
    )
    sandbox.spec.prestop[0].timeout.FromMilliseconds(1500)
    return {
        "id": "box",
        "namespace": "default",
        "state": "EXITED",
        "pid": 7,
        "epoch": 2**60,
        "revision": 3,
        "created_at": at,
        "started_at": at,
        "paused_at": at,
        "finished_at": at,
        "exit_code": 0,
        "exit_reason": "ended",
        "conditions": [{"kind": "OVERDUE", "since": at, "evidence": "not settled"}],
        "operation": {
            "id": "op",
            "kind": "PAUSE",
            "started_at": at,
            "in_flight": False,
            "failure": "lost",
            "call": "LOST",
            "caller_answered": True,
            "attempt": 3,
            "snapshot_id": "",
        },
        "last_observation": {"evidence": "shim says PAUSED", "cause": "rpc", "at": at},
        "bindings": {
            "runtime": {"snapshot_id": "snap", "attached_at": at, "unproven": True},
            "restore": None,
            "generation": 2,
        },
        "labels": {"a": "b"},
        "spec": {
            "runtime": "process",
            "template": "",
            "snapshot": "",
            "args": ["yes", "", "\x9b\x00é😀", "- no: #"],
            "env": {"A": "null"},
            "cwd": "",
            "resources": {"cpu_milli": 0, "memory_bytes": 0},
            "labels": {},
            "annotations": {},
            "prestop": [
                {"host": "h", "port": 80, "path": "/", "headers": {"a": "b"}, "timeout_s": 1.5}
            ],
        },
    }


def test_inspect_shows_everything_as_json_and_as_yaml(agent: FakeAgent) -> None:
    document = fill(agent)
    by_default = cubecli(agent.place, "inspect", "box").stdout
    assert json.loads(by_default) == [document]
    assert "\x9b" not in by_default
    assert cubecli(agent.place, "inspect", "-o", "json", "box").stdout == by_default
    assert yaml.safe_load(cubecli(agent.place, "inspect", "-o", "yaml", "box").stdout) == [document]
    assert json.loads(cubecli(agent.place, "ps", "-a", "-o", "json").stdout) == [document]


def test_inspect_says_null_where_nothing_is_known(agent: FakeAgent) -> None:
    agent.add("box", 99)  # type: ignore[arg-type]  # A state that only a newer agent knows.
    (document,) = json.loads(cubecli(agent.place, "inspect", "box").stdout)
    absent = {key for key, value in document.items() if value is None}
    assert absent == {
        *("pid", "created_at", "started_at", "paused_at", "finished_at", "exit_code"),
        *("operation", "last_observation", "bindings"),
    }
    assert document["state"] == "99"


def test_inspect_as_a_table_has_a_line_for_each_field(agent: FakeAgent) -> None:
    document = fill(agent)
    lines = cubecli(agent.place, "inspect", "-o", "table", "box").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["FIELD", *document]


@pytest.mark.parametrize(
    ("command", "request_of"),
    [("pause", PauseRequest), ("resume", ResumeRequest), ("rm", DeleteRequest)],
)
def test_commands_on_ids_print_each_that_is_done(
    agent: FakeAgent, command: str, request_of: type[PauseRequest]
) -> None:
    result = cubecli(agent.place, command, "a", "b")
    assert (result.exit_code, result.stdout) == (0, "a\nb\n")
    assert agent.requests == [request_of(id="a"), request_of(id="b")]


@pytest.mark.parametrize(
    ("command", "request_of"), [("pause", PauseRequest), ("resume", ResumeRequest)]
)
def test_a_precondition_and_a_key_go_with_every_id(
    agent: FakeAgent, command: str, request_of: type[PauseRequest]
) -> None:
    options = ("--expect-state", "running", "--expect-epoch", str(2**64 - 1), "--key", "k-1")
    result = cubecli(agent.place, command, *options, "a", "b")
    assert (result.exit_code, result.stdout) == (0, "a\nb\n")
    assert agent.requests == [
        request_of(
            id=name,
            expected_epoch=2**64 - 1,
            expected_state=State.STATE_RUNNING,
            idempotency_key="k-1",
        )
        for name in ("a", "b")
    ]


def test_rm_passes_its_key_on(agent: FakeAgent) -> None:
    cubecli(agent.place, "rm", "--key", "k", "a")
    assert agent.requests == [DeleteRequest(id="a", idempotency_key="k")]


def test_rm_all_removes_what_has_ended_too(agent: FakeAgent) -> None:
    agent.add("a", State.STATE_EXITED)
    agent.add("b", State.STATE_PAUSED)
    result = cubecli(agent.place, "rm", "--all")
    assert (result.exit_code, result.stdout) == (0, "a\nb\n")
    assert agent.requests[1:] == [DeleteRequest(id="a"), DeleteRequest(id="b")]


def test_version_names_both_ends(agent: FakeAgent) -> None:
    result = cubecli(agent.place, "version")
    lines = [line.split(maxsplit=1) for line in result.stdout.splitlines()[1:]]
    assert lines == [
        ["cubecli", cubelet.__version__],
        ["agent", "9.8.7"],
        ["runtimes", "shimv2, process"],
    ]
    document = json.loads(cubecli(agent.place, "version", "-o", "json").stdout)
    assert document["agent"]["runtimes"] == ["shimv2", "process"]
    assert document["cubecli"]["version"] == cubelet.__version__


def test_version_works_without_an_agent() -> None:
    result = cubecli("/nowhere/s", "version")
    assert result.exit_code == 0
    assert cubelet.__version__ in result.stdout
    assert "no agent at /nowhere/s" in result.stdout


def test_help_lists_every_command_with_its_own_first_line() -> None:
    result = CliRunner().invoke(cli, ["--help"])
    for name, line in COMMANDS.items():
        assert f"  {name} " in result.stdout
        own = cli.get_command(cli.make_context("cubecli", [name]), name)
        assert own is not None
        assert (own.help or "").startswith(line.rstrip(".")[:12])
    assert "  4    no answer in time" in result.stdout
