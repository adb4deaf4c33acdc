"""From Create to Delete: states, exits, streams, limits, and what a dead shim leaves behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from shimclient.api import task_pb2
from shimclient.errors import NotFound, StatusError
from shimclient.events import EventsServer
from shimclient.task import Status
from tests.contract.process_shim.harness import (
    CALL_S,
    NAMESPACE,
    Kind,
    Shim,
    extreme_kinds,
    lives,
    proc_text,
    usable,
    who,
)
from tests.support.polling import eventually


@pytest.fixture(params=extreme_kinds(), ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    return usable(request.param)


@pytest.mark.parametrize("code", [0, 1, 42, 127])
async def test_exit_codes(shim: Shim, code: int) -> None:
    pid = await shim.run(["sh", "-c", f"exit {code}"])
    assert (await shim.wait()).exit_status == code
    state = await shim.task.state(shim.id, local_timeout_s=CALL_S)
    assert (state.status, state.exit_status, state.pid) == (Status.STOPPED, code, pid)
    ended = await shim.task.delete(shim.id, local_timeout_s=CALL_S)
    assert (ended.pid, ended.exit_status) == (pid, code)
    assert ended.exited_at_ns == state.exited_at_ns
    with pytest.raises(NotFound):
        await shim.status()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_death_by_a_signal_is_128_and_its_number(shim: Shim, number: int) -> None:
    await shim.run(["sleep", "60"])
    await shim.task.kill(shim.id, number, local_timeout_s=CALL_S)
    assert (await shim.wait()).exit_status == 128 + number


async def test_a_created_task_is_held_and_can_only_start_or_end(shim: Shim) -> None:
    flag = shim.bundle / "ran"
    pid = await shim.create(["touch", str(flag)])
    assert lives(who(pid))
    assert await shim.status() == Status.CREATED
    for refused in (shim.pause(), shim.resume()):
        with pytest.raises(StatusError) as caught:
            await refused
        assert caught.value.code == 2
    ended = await shim.task.delete(shim.id, local_timeout_s=CALL_S)
    assert (ended.pid, ended.exit_status) == (pid, 137)
    assert not flag.exists()


async def test_wrong_states_are_code_2(shim: Shim) -> None:
    await shim.run(["sleep", "60"])
    for refused in (
        shim.resume(),
        shim.task.start(shim.id, local_timeout_s=CALL_S),
        shim.task.delete(shim.id, local_timeout_s=CALL_S),
    ):
        with pytest.raises(StatusError) as caught:
            await refused
        assert caught.value.code == 2
    await shim.pause()
    for refused in (shim.pause(), shim.task.start(shim.id, local_timeout_s=CALL_S)):
        with pytest.raises(StatusError) as caught:
            await refused
        assert caught.value.code == 2
    assert await shim.status() == Status.PAUSED


async def test_unknown_ids_are_code_5(shim: Shim) -> None:
    with pytest.raises(NotFound):
        await shim.pause()
    await shim.run(["sleep", "60"])
    with pytest.raises(NotFound):
        await shim.task.pause("other", local_timeout_s=CALL_S)
    with pytest.raises(NotFound):
        await shim.task.state(shim.id, exec_id="exec", local_timeout_s=CALL_S)


async def test_one_shim_holds_one_task(shim: Shim) -> None:
    await shim.run(["sleep", "60"])
    with pytest.raises(StatusError) as caught:
        await shim.create(["sleep", "60"])
    assert caught.value.code == 6


@pytest.mark.parametrize(
    ("args", "text", "status"),
    [
        (["no-such-program"], 'exec: "no-such-program": not found in PATH', 127),
        (["/no/such/program"], 'exec: "/no/such/program": not found', 127),
        (["/etc/passwd"], 'exec: "/etc/passwd": Permission denied', 126),
    ],
)
async def test_what_cannot_be_executed_is_said_at_start(
    shim: Shim, args: list[str], text: str, status: int
) -> None:
    await shim.create(args)
    with pytest.raises(StatusError) as caught:
        await shim.task.start(shim.id, local_timeout_s=CALL_S)
    assert (caught.value.code, caught.value.message) == (2, text)
    assert (await shim.wait()).exit_status == status
    await shim.task.delete(shim.id, local_timeout_s=CALL_S)


async def test_a_folder_that_is_not_there_is_said_at_start(shim: Shim) -> None:
    await shim.create(["true"], process={"cwd": "/no/such/folder"})
    with pytest.raises(StatusError, match="cwd '/no/such/folder': No such file"):
        await shim.task.start(shim.id, local_timeout_s=CALL_S)


async def test_streams_environment_and_folder(shim: Shim) -> None:
    out, err, fifo = (shim.bundle / name for name in ("out", "err", "in"))
    os.mkfifo(fifo)
    shim.own(fifo)
    await shim.run(
        ["sh", "-c", "pwd; env | grep -v -e PWD -e SHLVL -e '^_='; echo oops >&2; cat"],
        stdin=fifo,
        stdout=f"file://{out}",
        stderr=err,
        process={"env": ["PATH=/usr/bin:/bin", "A=1=2"], "cwd": "/usr"},
    )
    fifo.write_text("typed\n")
    await eventually(lambda: b"typed" in out.read_bytes(), what="cat wrote what was typed")
    assert await shim.status() == Status.RUNNING  # A writer came and went: no end of file.
    await shim.task.close_io(shim.id, local_timeout_s=CALL_S)
    assert (await shim.wait()).exit_status == 0

    lines = out.read_text().splitlines()
    assert lines[0] == "/usr"
    assert lines[-1] == "typed"
    (mark,) = (line for line in lines if line.startswith("CUBELET_SANDBOX_"))
    assert mark.endswith(f"={NAMESPACE}.{shim.id}")
    assert sorted(lines[1:-1]) == sorted(["PATH=/usr/bin:/bin", "A=1=2", mark])
    assert err.read_text() == "oops\n"


async def test_nothing_of_the_shim_is_in_the_sandbox(shim: Shim) -> None:
    out = shim.bundle / "out"
    await shim.run(["sh", "-c", "ls -l /proc/self/fd; cat /proc/self/status"], stdout=out)
    await shim.wait()
    text = out.read_text()
    assert "socket:" not in text
    assert "pipe:" not in text
    assert "memfd" not in text
    ignored = next(line for line in text.splitlines() if line.startswith("SigIgn"))
    assert int(ignored.split()[1], 16) == 0


async def test_events_in_order(shim: Shim, tmp_path: Path) -> None:
    del tmp_path
    events = EventsServer()
    sink = shim.bundle / "events"
    await events.serve_path(str(sink))
    shim.own(sink)
    shim.events_address = str(sink)
    try:
        await shim.begin_again()
        await shim.run(["sleep", "60"])
        await shim.pause()
        await shim.resume()
        await shim.task.kill(shim.id, signal.SIGKILL, local_timeout_s=CALL_S)
        await shim.wait()
        await shim.task.delete(shim.id, local_timeout_s=CALL_S)
        topics = [(await events.next()).topic for _ in range(6)]
    finally:
        await events.close()
    names = ("create", "start", "paused", "resumed", "exit", "delete")
    assert topics == [f"/tasks/{name}" for name in names]


async def test_a_bundle_that_asks_for_too_much_is_refused(shim: Shim) -> None:
    request = task_pb2.CreateRequest(id=shim.id, bundle=str(shim.bundle), terminal=True)
    shim.configure(["true"])
    with pytest.raises(StatusError, match="terminal") as caught:
        await shim.task.create(request, local_timeout_s=CALL_S)
    assert caught.value.code == 3
    with pytest.raises(StatusError, match="is none of auto"):
        await shim.create(["true"], annotations={"cubelet.process/freezer": "magic"})
    with pytest.raises(StatusError, match="No such file"):
        await shim.create(["true"], stdin="/no/such/file")
    # After every refusal the shim is as it was.
    await shim.run(["true"])
    assert (await shim.wait()).exit_status == 0


async def test_a_cgroup_that_cannot_be_had_is_refused(shim: Shim) -> None:
    if shim.kind.user == "root":
        pytest.skip("root can have it")
    with pytest.raises(StatusError, match="does not work here") as caught:
        await shim.create(["true"], annotations={"cubelet.process/freezer": "cgroup_v1"})
    assert caught.value.code == 3


async def test_root_gets_its_root_user_and_limits(shim: Shim) -> None:
    if shim.kind.user != "root":
        pytest.skip("needs root")
    root = shim.bundle / "rootfs"
    _copy_program("/bin/sleep", root)
    pid = await shim.create(
        ["/bin/sleep", "60"],
        root={"path": "rootfs"},
        process={"user": {"uid": 1234, "gid": 2345, "additionalGids": [3456]}},
        linux={"resources": {"memory": {"limit": 64 << 20}, "cpu": {"quota": 50000}}},
    )
    groups = proc_text(pid, "cgroup")
    limited = f"/cubelet-process/{NAMESPACE}.{shim.id}" in groups
    await shim.task.start(shim.id, local_timeout_s=CALL_S)
    assert (Path("/proc") / str(pid) / "root").readlink() == root
    status = proc_text(pid, "status")
    assert "Uid:\t1234\t1234\t1234\t1234\n" in status
    assert "Gid:\t2345\t2345\t2345\t2345\n" in status
    assert "Groups:\t3456 \n" in status
    assert limited or any("no limit of" in line for line in shim.log)
    first = who(pid)
    os.kill(await shim.shim_pid(), signal.SIGKILL)  # The parent-death signal outlives the setuid.
    await eventually(lambda: not lives(first), what="it died with its shim")


def _copy_program(program: str, root: Path) -> None:
    """A root file system that holds just this program and its libraries."""
    listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    libraries = [word for word in listing.split() if word.startswith("/")]
    for file in (program, *libraries):
        target = root / file.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
