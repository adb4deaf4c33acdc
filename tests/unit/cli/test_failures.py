"""What goes wrong is one line and the right exit code."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner

from cubelet.cli.failures import unreachable
from cubelet.cli.main import cli
from cubelet.cli.settings import Settings
from tests.unit.cli.conftest import FakeAgent, Refusal, cubecli

ROOT = Path(__file__).resolve().parents[3]
Status = grpc.StatusCode


@pytest.mark.parametrize(
    ("code", "reason", "exit_code", "following"),
    [
        (Status.NOT_FOUND, "SANDBOX_NOT_FOUND", 3, " (try: cubecli ps --all)"),
        (Status.NOT_FOUND, "TEMPLATE_NOT_FOUND", 3, ""),
        (Status.INVALID_ARGUMENT, "BAD_REQUEST", 2, ""),
        (Status.INVALID_ARGUMENT, "UNKNOWN_RUNTIME", 2, " (try: cubecli version)"),
        (Status.DEADLINE_EXCEEDED, "RUNTIME_DEADLINE", 4, " (try: cubecli explain)"),
        (Status.UNAVAILABLE, "RUNTIME_LOST", 5, " (try: cubecli explain)"),
        (Status.UNAVAILABLE, "STORE_FAILED", 5, ""),
        (Status.RESOURCE_EXHAUSTED, "TOO_BUSY", 5, ""),
        (Status.FAILED_PRECONDITION, "ALREADY_PAUSED", 6, ""),
        (Status.ABORTED, "PAUSE_IN_PROGRESS", 6, " (try: cubecli explain)"),
        (Status.ALREADY_EXISTS, "SANDBOX_EXISTS", 6, ""),
        (Status.PERMISSION_DENIED, "BAD_REQUEST", 7, ""),
        (Status.UNAUTHENTICATED, "", 7, ""),
        (Status.INTERNAL, "BUG", 1, ""),
        (Status.UNIMPLEMENTED, "", 1, ""),
        (Status.NOT_FOUND, "", 3, ""),
    ],
)
def test_a_refusal_is_one_line_and_its_exit_code(
    agent: FakeAgent, code: grpc.StatusCode, reason: str, exit_code: int, following: str
) -> None:
    agent.refusals["box"] = Refusal(code, "what\nhappened\x1b[0m", reason)
    result = cubecli(agent.place, "pause", "box")
    assert result.exit_code == exit_code
    assert result.stdout == ""
    assert result.stderr == f"cubecli: what\\x0ahappened\\x1b[0m{following}\n"


def test_a_reason_of_another_domain_means_nothing(agent: FakeAgent) -> None:
    refusal = Refusal(Status.NOT_FOUND, "no", "SANDBOX_NOT_FOUND", domain="elsewhere")
    agent.refusals["box"] = refusal
    assert cubecli(agent.place, "pause", "box").stderr == "cubecli: no\n"


def test_a_refusal_without_a_word_names_its_code(agent: FakeAgent) -> None:
    agent.refusals["box"] = Refusal(Status.DATA_LOSS, "")
    assert cubecli(agent.place, "pause", "box").stderr == "cubecli: the agent answered DATA_LOSS\n"


@pytest.mark.parametrize("command", ["pause", "resume", "rm", "inspect"])
def test_one_failure_does_not_stop_the_others(agent: FakeAgent, command: str) -> None:
    for name in "abcd":
        agent.add(name)
    agent.refusals["b"] = Refusal(Status.NOT_FOUND, "no b", "SANDBOX_NOT_FOUND")
    agent.refusals["c"] = Refusal(Status.ABORTED, "not now", "STALE_EPOCH")
    result = cubecli(agent.place, command, "a", "b", "c", "d")
    assert result.exit_code == 3
    assert result.stderr == "cubecli: no b (try: cubecli ps --all)\ncubecli: not now\n"
    assert len(agent.requests) == 4
    for name in "ad":
        assert name in result.stdout


def test_an_agent_that_was_never_there() -> None:
    result = cubecli("/nowhere/s", "ps")
    assert result.exit_code == 5
    assert result.stderr.startswith(
        "cubecli: no agent at /nowhere/s; start one with: cubelet serve"
    )
    assert result.stderr.count("\n") == 1


def test_an_agent_that_is_gone(short_path: Path) -> None:
    place = str(short_path / "s")
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(place)
    result = cubecli(place, "ps")
    assert result.exit_code == 5
    assert result.stderr.startswith(f"cubecli: nobody listens at {place}; start")


def test_something_else_that_listens(short_path: Path) -> None:
    place = str(short_path / "s")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(place)
        other.listen()
        result = cubecli(place, "--timeout", "0.2", "ps")
    assert result.exit_code in (4, 5)
    assert result.stderr.count("\n") == 1


def test_an_agent_on_no_tcp_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    result = cubecli(f"127.0.0.1:{port}", "ps")
    assert result.exit_code == 5
    assert result.stderr.startswith(f"cubecli: nobody listens at 127.0.0.1:{port}")
    assert cubecli("nonsense", "ps").exit_code == 5


def test_no_permission(short_path: Path) -> None:
    """Root may use every socket, so that as root the look is taken as somebody else."""
    place = short_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()
        place.chmod(0)
        short_path.chmod(0o755)
        before = os.geteuid()
        try:
            if before == 0:
                os.seteuid(65534)
            failure = unreachable(Settings(address=str(place), timeout_s=1))
        finally:
            os.seteuid(before)
    assert failure.exit_code == 7
    assert failure.message == (
        f"no permission to use {place}; use an account of its group, or sudo"
    )


def test_a_silent_agent_is_not_waited_for(agent: FakeAgent) -> None:
    agent.silent.add("box")
    result = cubecli(agent.place, "--timeout", "0.2", "pause", "box")
    assert result.exit_code == 4
    assert result.stderr == (
        "cubecli: no answer within 0.2 s; the agent goes on with it (try: cubecli explain)\n"
    )


def test_a_socket_path_that_is_too_long_is_named() -> None:
    result = cubecli("/" + "x" * 107, "ps")
    assert result.exit_code == 2
    assert "has 108 bytes, a unix socket's path has at most 107" in result.stderr


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("/a/b", "/a/b"),
        ("unix:/a/b", "/a/b"),
        ("unix:///a/b", "/a/b"),
        ("./b", f"{Path.cwd()}/b"),
        ("unix:b", f"{Path.cwd()}/b"),
        ("127.0.0.1:1", "127.0.0.1:1"),
        ("[::1]:1", "[::1]:1"),
    ],
)
def test_an_address_is_a_path_or_a_host(address: str, place: str) -> None:
    assert Settings(address=address, timeout_s=1).place == place


def test_the_address_may_come_from_the_environment(agent: FakeAgent) -> None:
    agent.add("box")
    result = CliRunner().invoke(cli, ["ps", "-q"], env={"CUBELET_ADDRESS": agent.place})
    assert result.stdout == "box\n"


def test_without_an_address_the_default_socket_is_asked(short_path: Path) -> None:
    if os.geteuid() == 0:
        expected = "/var/lib/cubelet/run/cubelet.ttrpc"
    else:
        expected = f"{short_path}/cubelet/run/cubelet.ttrpc"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(short_path))
        patch.delenv("CUBELET_ADDRESS", raising=False)
        settings = Settings(address="", timeout_s=1)
        assert (settings.place, settings.is_local) == (expected, True)
        patch.setattr(os, "geteuid", lambda: 1000)
        patch.delenv("XDG_STATE_HOME")
        patch.delenv("HOME", raising=False)
        homeless = CliRunner().invoke(cli, ["ps"])
    assert homeless.exit_code == 2
    assert "name it with --address" in homeless.stderr


def test_a_proxy_from_the_environment_is_not_asked() -> None:
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as proxy:
        patch.setenv("http_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        proxy.setblocking(False)
        cubecli("127.0.0.1:1", "--timeout", "0.5", "ps")
        with pytest.raises(BlockingIOError):
            proxy.accept()


@pytest.mark.parametrize(
    ("place", "args", "imported"),
    [
        ("/nowhere/s", ["--help"], []),
        ("/nowhere/s", ["fly"], []),
        ("/nowhere/s", ["ps"], ["grpc", "asyncio"]),
        ("/nowhere/s.ttrpc", ["ps"], []),
        ("/nowhere/s.ttrpc", ["version"], []),
    ],
)
def test_only_a_call_to_a_grpc_door_imports_what_is_slow(
    place: str, args: list[str], imported: list[str]
) -> None:
    script = (
        "import sys; from cubelet.cli.main import cli\n"
        "try: cli(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print([slow for slow in ('grpc', 'asyncio', 'msgspec') if slow in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *args],
        cwd=ROOT,
        env=os.environ | {"CUBELET_ADDRESS": place},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == str(imported)


def test_ctrl_c_ends_quietly(short_path: Path) -> None:
    place = str(short_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen()
        # Whoever runs the tests in the background has SIGINT ignored, and that is inherited.
        script = (
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
            "from cubelet.cli.main import main; main()"
        )
        command = [sys.executable, "-c", script, "--address", place, "ps"]
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            # It has connected, so it waits for an answer that never comes.
            connection, _ = listener.accept()
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=30)
            connection.close()
    assert (process.returncode, stdout, stderr) == (130, "", "")
