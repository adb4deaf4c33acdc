"""How a tree ends: by a signal, with its first process, with its shim, or by `delete`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from shimclient.errors import NotFound
from shimclient.task import Status
from tests.contract.process_shim import programs
from tests.contract.process_shim.harness import (
    CALL_S,
    Shim,
    group_of,
    grows,
    lives,
    stands_still,
    who,
)
from tests.support.polling import eventually


async def test_kill_ends_a_paused_tree(shim: Shim) -> None:
    counter, pid_file = shim.bundle / "counter", shim.bundle / "pid"
    await shim.run_python(programs.DAEMON, str(counter), str(pid_file))
    await grows(counter)
    daemon = who(int(pid_file.read_text()))
    await shim.pause()

    await shim.task.kill(shim.id, signal.SIGKILL, local_timeout_s=CALL_S)

    assert (await shim.wait()).exit_status == 137
    assert not lives(daemon)
    assert await shim.status() == Status.STOPPED
    with pytest.raises(NotFound):
        await shim.task.kill(shim.id, signal.SIGKILL, local_timeout_s=CALL_S)


async def test_a_softer_signal_waits_in_a_paused_tree(shim: Shim) -> None:
    counter = await shim.count()
    await shim.pause()
    await shim.task.kill(shim.id, signal.SIGTERM, local_timeout_s=CALL_S)
    if shim.kind.expected != "cgroup_v2":  # There a deadly signal ends even who is frozen.
        await stands_still(await shim.pids(), counter)
        assert await shim.status() == Status.PAUSED
        await shim.resume()
    assert (await shim.wait()).exit_status == 143


async def test_kill_all_reaches_the_daemon(shim: Shim) -> None:
    counter, pid_file = shim.bundle / "counter", shim.bundle / "pid"
    await shim.run_python(programs.DAEMON, str(counter), str(pid_file))
    await grows(counter)
    daemon = who(int(pid_file.read_text()))
    await shim.task.kill(shim.id, signal.SIGUSR1, all_=True, local_timeout_s=CALL_S)
    await eventually(lambda: not lives(daemon), what="the daemon died of SIGUSR1")
    assert (await shim.wait()).exit_status == 128 + signal.SIGUSR1


async def test_the_first_process_takes_the_rest_along(shim: Shim) -> None:
    counter, pid_file = shim.bundle / "counter", shim.bundle / "pid"
    first = await shim.run_python(programs.DAEMON, str(counter), str(pid_file))
    await grows(counter)
    daemon = who(int(pid_file.read_text()))
    os.kill(first, signal.SIGTERM)
    assert (await shim.wait()).exit_status == 143
    assert not lives(daemon)


async def test_a_killed_shim_leaves_nothing_after_delete(shim: Shim) -> None:
    counter, pid_file = shim.bundle / "counter", shim.bundle / "pid"
    first = who(await shim.run_python(programs.DAEMON, str(counter), str(pid_file)))
    await grows(counter)
    daemon = who(int(pid_file.read_text()))
    os.kill(await shim.shim_pid(), signal.SIGKILL)

    ended = await shim.clean_up()

    assert (ended.pid, ended.exit_status) == (first.pid, 137)
    assert not lives(first)
    assert not lives(daemon)
    _assert_no_group(shim)


async def test_a_shim_killed_while_paused_leaves_nothing_after_delete(shim: Shim) -> None:
    counter = shim.bundle / "counter"
    await shim.run_python(programs.FORKS, str(counter))
    await grows(counter)
    await shim.pause()
    tree = [who(pid) for pid in await shim.pids()]
    os.kill(await shim.shim_pid(), signal.SIGKILL)

    await shim.clean_up()

    assert not [identity for identity in tree if lives(identity)]
    _assert_no_group(shim)
    assert await _stays(counter)


async def test_delete_ends_a_shim_that_hangs(shim: Shim) -> None:
    first = who(await shim.run(["sleep", "60"]))
    hung = who(await shim.shim_pid())
    os.kill(hung.pid, signal.SIGSTOP)
    await shim.clean_up()
    assert not lives(hung)
    assert not lives(first)


async def test_delete_of_a_reused_pid_hurts_nobody(shim: Shim) -> None:
    await shim.run(["sleep", "60"])
    os.kill(await shim.shim_pid(), signal.SIGKILL)
    state = shim.bundle / "shim-state.json"
    record = json.loads(state.read_text())
    with subprocess.Popen(["sleep", "60"]) as bystander:  # noqa: ASYNC220 - it starts at once
        try:
            identity = who(bystander.pid)
            record["init"] = record["shim"] = [bystander.pid, identity.start_ticks + 1]
            state.write_text(json.dumps(record))
            await shim.clean_up()
            assert lives(identity)
        finally:
            bystander.kill()


async def test_a_shim_that_is_told_to_end_takes_its_tree_along(shim: Shim) -> None:
    counter, pid_file = shim.bundle / "counter", shim.bundle / "pid"
    await shim.run_python(programs.DAEMON, str(counter), str(pid_file))
    await grows(counter)
    daemon = who(int(pid_file.read_text()))
    process = who(await shim.shim_pid())
    await shim.pause()
    os.kill(process.pid, signal.SIGTERM)
    await eventually(lambda: not lives(process), what="the shim ended")
    assert not lives(daemon)
    _assert_no_group(shim)


def _assert_no_group(shim: Shim) -> None:
    if shim.kind.expected.startswith("cgroup"):
        assert not group_of(shim).exists()


async def _stays(counter: Path) -> bool:
    with contextlib.suppress(AssertionError):
        await stands_still([], counter)
        return True
    return False
