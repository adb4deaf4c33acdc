"""The parts of the skeleton: flags, sockets, state file, reaping, process identity."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from shimclient.skeleton import sockets
from shimclient.skeleton.flags import Action, Flags, UsageError, parse_flags
from shimclient.skeleton.processes import kill_process, open_process, start_ticks
from shimclient.skeleton.reaper import Reaper, exit_status_of
from shimclient.skeleton.sockets import (
    SocketError,
    bind_exclusively,
    group_of,
    is_live,
    socket_dir,
    socket_name,
)
from shimclient.skeleton.statefile import StateFile, StateFileBroken


@pytest.mark.parametrize(
    "words",
    [
        "-namespace ns -id a -address /s -publish-binary /b -debug -bundle /d start",
        "start -namespace=ns --id=a -address=/s --publish-binary /b --debug=true --bundle=/d",
    ],
)
def test_flags_in_both_of_gos_forms(words: str) -> None:
    assert parse_flags(words.split()) == Flags(
        Action.START, "ns", "a", "/s", publish_binary="/b", bundle="/d", debug=True
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "exactly one of start, delete, serve"),
        ("start delete -namespace n -id a", "got start delete"),
        ("begin", "unknown command 'begin'"),
        ("start -namespace n", "start needs -id"),
        ("delete -id a", "delete needs -namespace"),
        ("serve", "serve needs -address"),
        ("start -id", "-id needs a value"),
        ("start -name x", "unknown flag '-name'"),
        ("start -debug=maybe", "true or false"),
    ],
)
def test_a_wrong_command_line_is_explained(words: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_flags(words.split())
    assert said in str(caught.value)


def test_the_socket_name_is_containerds() -> None:
    name = socket_name("/run/containerd/containerd.sock", "ns", "box")
    # The output of: echo -n /run/containerd/containerd.sock/ns/box | sha256sum
    assert name == "dd5ce74100e5e67ca02daa3f045fe4b633d20d6d792ef329a97dc8f53fab4170"
    assert name == socket_name("/run/containerd/./containerd.sock/", "ns", "box")
    assert name != socket_name("/run/containerd/containerd.sock", "ns", "box2")


def test_an_annotation_groups_tasks_into_one_shim(tmp_path: Path) -> None:
    assert group_of(tmp_path, "a") == "a"
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"annotations": {"io.kubernetes.cri.sandbox-id": "pod"}}))
    assert group_of(tmp_path, "a") == "pod"
    config.write_text('{"annotations": null}')
    assert group_of(tmp_path, "a") == "a"
    config.write_text("{")
    with pytest.raises(SocketError, match="no JSON"):
        group_of(tmp_path, "a")


def test_one_name_is_bound_once_and_a_dead_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = bind_exclusively(path)
    assert first is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert bind_exclusively(path) is None
    first.close()
    assert path.exists()
    assert not is_live(path)
    second = bind_exclusively(path)
    assert second is not None
    assert is_live(path)
    second.close()


def test_of_many_starters_at_once_exactly_one_binds(tmp_path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "s"))
    dead.close()
    bound: list[socket.socket | None] = []
    barrier = threading.Barrier(16)

    def starter() -> None:
        barrier.wait()
        bound.append(bind_exclusively(tmp_path / "s"))

    threads = [threading.Thread(target=starter) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    listeners = [listener for listener in bound if listener is not None]
    assert (len(bound), len(listeners)) == (16, 1)
    listeners[0].close()


def test_a_full_backlog_is_a_living_shim(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        clients = []
        while True:
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            clients.append(client)
            if client.connect_ex(str(path)) == errno.EAGAIN:
                break
        assert is_live(path)
        for client in clients:
            client.close()


def test_a_path_that_the_kernel_would_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SocketError, match="over the kernel's limit of 107"):
        bind_exclusively(tmp_path / ("x" * 107))


def test_a_file_in_the_way_is_kept(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")
    with pytest.raises(SocketError, match="in the way"):
        bind_exclusively(tmp_path / "s")
    assert (tmp_path / "s").read_text() == "precious"


def test_the_folder_for_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert socket_dir(str(tmp_path / "w"), {}) == tmp_path / "w"
    assert socket_dir("", {"SHIM_SOCKET_DIR": str(tmp_path / "v")}) == tmp_path / "v"
    monkeypatch.setattr(sockets, "CONTAINERD_SOCKET_DIR", str(tmp_path / "root"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert socket_dir("", {"XDG_RUNTIME_DIR": "/run/user/0"}) == tmp_path / "root"


def test_another_users_folder_is_private_and_not_anybody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = os.getuid()
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    short = Path(f"/tmp/xdg-{os.getpid()}")  # noqa: S108 - a test of short paths
    short.mkdir()
    try:
        with pytest.raises(SocketError, match="not a private folder of user 4711"):
            socket_dir("", {"XDG_RUNTIME_DIR": str(short)})
        os.chown(short / "shims", 4711 if me == 0 else me, -1)
        if me == 0:
            found = socket_dir("", {"XDG_RUNTIME_DIR": str(short)})
            assert (found, stat.S_IMODE(found.stat().st_mode)) == (short / "shims", 0o700)
    finally:
        (short / "shims").rmdir()
        short.rmdir()
    assert tmp_path.exists()


def test_the_state_file_is_replaced_whole(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state.json")
    assert file.load() is None
    file.save({"a": 1})
    file.save({"b": [2]})
    assert file.load() == {"b": [2]}
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
    file.remove()
    file.remove()
    assert file.load() is None


def test_a_write_that_fails_leaves_the_old_state(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state.json")
    file.save({"a": 1})
    (tmp_path / ".state.json.tmp").mkdir()
    with pytest.raises(OSError, match="directory"):
        file.save({"a": 2})
    assert file.load() == {"a": 1}


@pytest.mark.parametrize("content", ["{", "[1]", ""])
def test_a_broken_state_file_is_named_and_kept(tmp_path: Path, content: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(content)
    with pytest.raises(StateFileBroken, match=r"state\.json"):
        StateFile(path).load()
    assert path.read_text() == content


async def test_children_are_reaped_with_their_status() -> None:
    reaper = Reaper()
    reaper.install()
    clean = reaper.spawn(["sh", "-c", "exit 3"])
    killed = reaper.spawn(["sleep", "60"])
    os.kill(killed.pid, signal.SIGKILL)
    async with asyncio.timeout(20):
        assert (await clean.exited, await killed.exited) == (3, 137)
    with pytest.raises(ProcessLookupError):
        os.kill(killed.pid, 0)
    reaper.uninstall()


async def test_orphans_of_children_are_adopted_and_reaped(tmp_path: Path) -> None:
    body = f"""
import asyncio, os
from shimclient.skeleton.reaper import Reaper, become_subreaper
async def main():
    become_subreaper()
    reaper = Reaper()
    reaper.install()
    await reaper.spawn(["sh", "-c", "sleep 0.05 & echo $! > {tmp_path}/orphan"]).exited
    while not reaper.orphans:
        await asyncio.sleep(0.01)
    assert not os.path.exists("/proc/" + open("{tmp_path}/orphan").read().strip())
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", body), env={"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    async with asyncio.timeout(20):
        assert await process.wait() == 0


async def test_a_program_that_cannot_be_run_is_an_os_error_and_no_child() -> None:
    reaper = Reaper()
    with pytest.raises(FileNotFoundError):
        reaper.spawn(["/nowhere"])
    reaper.reap()
    assert reaper.orphans == 0


def test_exit_statuses_are_the_shells() -> None:
    assert [exit_status_of(status) for status in (0, 0x0300, 9, 15 | 0x80)] == [0, 3, 137, 143]


def test_a_process_is_known_by_its_start_too() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        ticks = start_ticks(process.pid)
        assert ticks is not None
        assert open_process(process.pid, ticks + 1) is None
        assert not kill_process(process.pid, ticks + 1)
        assert process.poll() is None
        assert kill_process(process.pid, ticks)
        assert process.wait(20) == -9
    assert start_ticks(process.pid) is None
    assert not kill_process(process.pid, ticks)
