"""Reading what shim binaries print, and outliving what they do."""

from __future__ import annotations

import os
import select
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shimclient.api import bootstrap_pb2, task_pb2
from shimclient.bootstrap import ShimAddress, delete_shim, parse_start_answer, start_shim
from shimclient.errors import BootstrapError
from shimclient.logpipe import LogPipe
from shimclient.task import Exit
from tests.support.polling import eventually
from tests.support.shims import python_binary

ADDRESS = "unix:///run/containerd/s/" + "a" * 64


@pytest.mark.parametrize(
    ("stdout", "version"),
    [
        (ADDRESS.encode(), 2),
        (f"{ADDRESS}\n".encode(), 2),
        (f'{{"version":3,"address":"{ADDRESS}","protocol":"ttrpc"}}'.encode(), 3),
        (f'{{"version":2,"address":"{ADDRESS}"}}'.encode(), 2),
        (b"\x08\x03\x12" + bytes([len(ADDRESS)]) + ADDRESS.encode() + b"\x1a\x05ttrpc", 3),
    ],
)
def test_the_three_forms_of_an_answer(stdout: bytes, version: int) -> None:
    assert parse_start_answer(stdout) == ShimAddress(ADDRESS, version, "ttrpc")


@given(
    st.text(st.characters(codec="utf-8"), min_size=1),
    st.integers(2, 9),
    st.sampled_from(["", "grpc"]),
)
def test_every_protobuf_answer_is_read(path: str, version: int, protocol: str) -> None:
    result = bootstrap_pb2.BootstrapResult(
        version=version, address=f"unix://{path}", protocol=protocol
    )
    expected = ShimAddress(f"unix://{path}", version, protocol or "ttrpc")
    assert parse_start_answer(result.SerializeToString()) == expected


@given(st.binary(max_size=300))
def test_any_bytes_are_an_address_or_a_bootstrap_error(stdout: bytes) -> None:
    try:
        answer = parse_start_answer(stdout)
    except BootstrapError:
        return
    assert answer.address.startswith("unix:")


@pytest.mark.parametrize(
    ("stdout", "said"),
    [
        (b"", "printed no address"),
        (b" \n", "printed no address"),
        (b"warning: old\n" + ADDRESS.encode(), "one address and nothing else"),
        (b"tcp://1.2.3.4:5", "address of a unix socket"),
        (b'{"version":1,"address":"unix:///x"}', "version of at least 2"),
        (b'{"version":"3","address":"unix:///x"}', "version of at least 2"),
        (b'{"version":3}', "and an address"),
        (b"[1]", "a JSON object"),
        (b"[" * 60_000, "got"),
        (b"unix:///\x1b[31mred", "one address and nothing else"),
    ],
)
def test_what_is_no_answer_is_quoted(stdout: bytes, said: str) -> None:
    with pytest.raises(BootstrapError) as caught:
        parse_start_answer(stdout)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 700
    assert "\x1b" not in str(caught.value)


async def start(command: list[str], bundle: Path, **more: float | bytes) -> ShimAddress:
    with LogPipe(bundle, lambda _: None):
        return await start_shim(
            command,
            namespace="ns",
            id="box",
            bundle=bundle,
            events_address="/run/events.sock",
            containerd_address="/run/agent.sock",
            env={"EXTRA": "1"},
            stdin=more.get("stdin", b""),  # type: ignore[arg-type]
            timeout_s=more.get("timeout_s", 20.0),  # type: ignore[arg-type]
        )


async def test_a_binary_is_run_as_containerd_runs_it(tmp_path: Path) -> None:
    command = python_binary(
        tmp_path,
        "names = ('TTRPC_ADDRESS', 'GRPC_ADDRESS', 'NAMESPACE', 'MAX_SHIM_VERSION', 'EXTRA')\n"
        "open('seen', 'w').write('\\n'.join([os.getcwd(), *sys.argv[1:],"
        " *(os.environ[name] for name in names), sys.stdin.read()]))\n"
        "print('unix:///x')",
    )
    assert await start(command, tmp_path, stdin=b"hello") == ShimAddress("unix:///x", 2, "ttrpc")
    assert (tmp_path / "seen").read_text().split("\n") == [
        *(str(tmp_path), "-namespace", "ns", "-id", "box", "-address", "/run/agent.sock", "start"),
        *("/run/events.sock", "/run/agent.sock", "ns", "2", "1", "hello"),
    ]


async def test_a_failing_binary_is_quoted(tmp_path: Path) -> None:
    command = python_binary(tmp_path, "print('out'); sys.exit('no such runtime ' + 'x' * 9999)")
    with pytest.raises(BootstrapError) as caught:
        await start(command, tmp_path)
    assert "exit status 1" in str(caught.value)
    assert "no such runtime" in str(caught.value)
    assert len(str(caught.value)) < 1000


async def test_a_bad_answer_comes_with_what_stood_on_stderr(tmp_path: Path) -> None:
    command = python_binary(tmp_path, "sys.stderr.write('config is odd')")
    with pytest.raises(BootstrapError, match="printed no address; on stderr: 'config is odd'"):
        await start(command, tmp_path)


async def test_a_warning_on_stderr_does_not_spoil_the_answer(tmp_path: Path) -> None:
    command = python_binary(tmp_path, "sys.stderr.write('warning'); print('unix:///x')")
    assert (await start(command, tmp_path)).address == "unix:///x"


async def test_a_shim_that_speaks_another_protocol_is_refused(tmp_path: Path) -> None:
    command = python_binary(
        tmp_path, """print('{"version": 3, "address": "unix:///x", "protocol": "grpc"}')"""
    )
    with pytest.raises(BootstrapError, match="speaks grpc"):
        await start(command, tmp_path)


async def test_the_timeout_kills_the_starter_and_not_its_server(tmp_path: Path) -> None:
    command = python_binary(
        tmp_path,
        "child = os.fork()\n"
        "open('starter' if child else 'server', 'w').write(str(os.getpid()))\n"
        "sys.stderr.write('stuck')\nsys.stderr.flush()\n"
        "time.sleep(60)",
    )
    with pytest.raises(BootstrapError, match=r"did not end within 1\.5 s.*stuck"):
        await start(command, tmp_path, timeout_s=1.5)
    starter, server = (int((tmp_path / name).read_text()) for name in ("starter", "server"))
    os.kill(server, 9)
    with pytest.raises(ProcessLookupError):
        os.kill(starter, 0)


async def test_a_server_that_keeps_the_output_open_does_not_keep_us(tmp_path: Path) -> None:
    command = python_binary(
        tmp_path,
        "if os.fork() == 0:\n    time.sleep(60)\n"
        "print('unix:///x', flush=True)\nopen('group', 'w').write(str(os.getpgid(0)))",
    )
    assert (await start(command, tmp_path, timeout_s=10)).address == "unix:///x"


@pytest.mark.parametrize("command", ["/nowhere/shim", "/etc/passwd"])
async def test_a_binary_that_cannot_be_run_is_named(tmp_path: Path, command: str) -> None:
    with pytest.raises(BootstrapError, match=f"cannot run {command}"):
        await start([command], tmp_path)


async def test_a_bundle_without_a_log_pipe_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(BootstrapError, match="open a LogPipe"):
        await start_shim(["true"], namespace="ns", id="a", bundle=tmp_path, timeout_s=1)


async def test_delete_reads_how_the_task_ended(tmp_path: Path) -> None:
    reply = task_pb2.DeleteResponse(pid=7, exit_status=137)
    reply.exited_at.seconds = 5
    command = python_binary(tmp_path, f"sys.stdout.buffer.write({reply.SerializeToString()!r})")
    ended = await delete_shim(command, namespace="ns", id="a", bundle=tmp_path, timeout_s=20)
    assert ended == Exit(7, 137, 5_000_000_000)


async def test_delete_quotes_what_is_no_reply(tmp_path: Path) -> None:
    command = python_binary(tmp_path, "print('what?')")
    with pytest.raises(BootstrapError, match=r"expected a DeleteResponse, got 'what\?'"):
        await delete_shim(command, namespace="ns", id="a", bundle=tmp_path, timeout_s=20)


async def test_the_log_pipe_hands_on_lines_and_outlives_its_writers(tmp_path: Path) -> None:
    lines: list[str] = []
    with LogPipe(tmp_path, lines.append) as pipe:
        (tmp_path / "log").write_bytes(b"one\ntwo\xff\nthr")
        await eventually(lambda: len(lines) == 2, what="two lines")
        assert select.select([pipe._fd], [], [], 0)[0] == []  # No end of file, no busy loop.
        (tmp_path / "log").write_bytes(b"ee\n" + b"x" * 10_000)
        await eventually(lambda: len(lines) == 4, what="a third line and a long piece")
    assert lines[:3] == ["one", "two\ufffd", "three"]
    assert [len(line) for line in lines[3:]] == [8192, 10_000 - 8192]


async def test_a_log_that_is_no_fifo_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("precious")
    with pytest.raises(BootstrapError, match="no FIFO"):
        LogPipe(tmp_path, lambda _: None)
    assert (tmp_path / "log").read_text() == "precious"
