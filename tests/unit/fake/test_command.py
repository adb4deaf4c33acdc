"""The fake shim as a program: what it prints, where it fails, and that it lets go."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shimclient.api import bootstrap_pb2, task_pb2
from shimclient.bootstrap import parse_start_answer
from shimclient.client import Client
from shimclient.skeleton.sockets import is_live
from shimclient.task import CreateRequest, Status, Task, exit_of, runc_options
from tests.support.labs import fake_binary
from tests.support.polling import eventually

FLAGS = ("-namespace", "ns", "-id", "box", "-address", "/x")


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Path]:
    """A bundle; whoever was started in it is ended."""
    fake_binary(tmp_path)
    with tempfile.TemporaryDirectory(prefix="fake-") as short:  # pytest's own are too long.
        (tmp_path / "s").symlink_to(short)
        yield tmp_path
        if (tmp_path / "address").exists():
            asyncio.run(_shut_down((tmp_path / "address").read_text()))


async def _shut_down(address: str) -> None:
    client = await Client.connect(address)
    await Task(client).shutdown("box", local_timeout_s=20)
    await client.wait_closed()


def fake(bundle: Path, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the binary to its end, and until its output is closed by all who have it."""
    return subprocess.run(
        [bundle / "containerd-shim-fake-v1", *words],
        cwd=bundle,
        input=stdin,
        capture_output=True,
        timeout=30,
        check=False,
        env={**os.environ, "SHIM_SOCKET_DIR": str((bundle / "s").readlink())},
    )


def test_start_prints_the_address_alone_and_closes_its_output(bundle: Path) -> None:
    started = fake(bundle, *FLAGS, "start")
    assert (started.returncode, started.stderr) == (0, b"")
    address = parse_start_answer(started.stdout).address
    assert address.startswith(f"unix://{(bundle / 's').readlink()}/")
    assert (bundle / "address").read_text() == address
    assert fake(bundle, *FLAGS, "start").stdout == started.stdout


def test_start_answers_bootstrap_params_with_a_result(bundle: Path) -> None:
    params = bootstrap_pb2.BootstrapParams(
        instance_id="box", namespace="ns", socket_dir=str((bundle / "s").readlink() / "wanted")
    )
    started = fake(bundle, *FLAGS, "start", stdin=params.SerializeToString())
    result = bootstrap_pb2.BootstrapResult.FromString(started.stdout)
    assert (result.version, result.protocol) == (2, "ttrpc")
    assert result.address.startswith(f"unix://{params.socket_dir}/")


def test_runtime_options_on_stdin_are_no_bootstrap_params(bundle: Path) -> None:
    options = runc_options(task_pb2.RuncOptions(root="/r")).SerializeToString()
    assert fake(bundle, *FLAGS, "start", stdin=options).stdout.startswith(b"unix://")


def test_a_server_that_cannot_start_is_explained_by_its_starter(bundle: Path) -> None:
    (bundle / "fake.json").write_text('{"failpoints": "pause=boom"}')
    started = fake(bundle, *FLAGS, "start")
    assert (started.returncode, started.stdout) == (1, b"")
    assert b"fake.json: failpoints: failpoints, position 7: expected an action" in started.stderr
    assert started.stderr.count(b"\n") == 1
    assert not (bundle / "address").exists()
    assert list((bundle / "s").iterdir()) == []


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_broken_state_file_is_explained(bundle: Path, content: str) -> None:
    (bundle / "shim-state.json").write_text(content)
    started = fake(bundle, *FLAGS, "start")
    assert (started.returncode, started.stdout) == (1, b"")
    assert b"shim-state.json" in started.stderr
    assert (bundle / "shim-state.json").read_text() == content


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("start",), 2, b"start needs -namespace; see --help"),
        (("-what", "start"), 2, b"unknown flag '-what'"),
        ((*FLAGS, "-bundle", "/nowhere", "start"), 1, b"/nowhere"),
        (("serve", "-address", "/nowhere/s"), 1, b"/nowhere"),
    ],
)
def test_a_wrong_call_is_one_line_on_stderr(
    bundle: Path, words: tuple[str, ...], status: int, said: bytes
) -> None:
    ended = fake(bundle, *words)
    assert (ended.returncode, ended.stdout) == (status, b"")
    assert said in ended.stderr
    assert ended.stderr.count(b"\n") == 1


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_goes_to_stdout(bundle: Path, flag: str) -> None:
    ended = fake(bundle, "start", flag)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"usage: containerd-shim-fake-v1" in ended.stdout


def test_delete_without_a_state_says_killed(bundle: Path) -> None:
    reply = task_pb2.DeleteResponse.FromString(fake(bundle, *FLAGS, "delete").stdout)
    ended = exit_of(reply)
    assert (ended.pid, ended.exit_status, ended.exited_at_ns is None) == (0, 137, False)


async def test_serve_stands_alone_and_ends_at_sigterm_with_its_tasks(bundle: Path) -> None:
    path = bundle / "alone.sock"
    server = await asyncio.create_subprocess_exec(
        *(str(bundle / "containerd-shim-fake-v1"), "serve", "--address", f"unix://{path}"),
        cwd=bundle,
    )
    await eventually(lambda: is_live(path), what="it serves", within_s=20)
    client = await Client.connect(str(path))
    task = Task(client, version=3)
    pids = [
        await task.create(CreateRequest(id=name), local_timeout_s=20) for name in ("one", "two")
    ]
    await task.start("two", local_timeout_s=20)
    assert (await task.state("two", local_timeout_s=20)).status is Status.RUNNING
    assert (bundle / "alone.sock.state.json").exists()
    assert not (bundle / "shim-state.json").exists()
    server.terminate()
    async with asyncio.timeout(20):
        assert await server.wait() == 0
    assert not path.exists()
    for pid in pids:
        await eventually(lambda pid=pid: not Path(f"/proc/{pid}").exists(), what="the task ends")  # type: ignore[misc]
    await client.close()
