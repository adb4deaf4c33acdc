"""Paused means that nothing of the tree runs, whatever the tree does; resumed means it goes on."""

from __future__ import annotations

import os
import platform
import signal

import pytest

from cubelet.shims.process.identity import STOPPED_STATES
from cubelet.shims.process.tree import look
from shimclient.errors import StatusError
from shimclient.task import Status
from tests.contract.process_shim import programs
from tests.contract.process_shim.harness import (
    NAMESPACE,
    Shim,
    group_of,
    grows,
    is_frozen,
    proc_text,
    size_of,
    stands_still,
)
from tests.support.polling import eventually

#: The number of exit(2), which ends one thread.
_EXIT = {"x86_64": 60, "aarch64": 93}.get(platform.machine())


async def test_a_paused_counter_stands_still_and_goes_on(shim: Shim) -> None:
    counter = await shim.count()

    await shim.pause()
    assert await shim.status() == Status.PAUSED
    await stands_still(await shim.pids(), counter)

    await shim.resume()
    assert await shim.status() == Status.RUNNING
    await grows(counter)


async def test_the_kernel_shows_what_the_kind_says(shim: Shim) -> None:
    pid = await shim.run(["sleep", "60"])
    await shim.pause()

    groups = proc_text(pid, "cgroup")
    own = f"/cubelet-process/{NAMESPACE}.{shim.id}\n"
    shown = {
        "cgroup_v1": f":freezer:{own}" in groups,
        "cgroup_v2": f"0::{own}" in groups,
    }
    assert shown.get(shim.kind.expected, "cubelet-process" not in groups)
    process = look(pid)
    assert process is not None
    assert (process.threads in STOPPED_STATES) == (shim.kind.expected == "signals")


async def test_fifty_cycles(shim: Shim) -> None:
    counter = await shim.count()
    for _ in range(50):
        await shim.pause()
        frozen = size_of(counter)
        assert await shim.status() == Status.PAUSED
        assert size_of(counter) == frozen
        await shim.resume()
        await grows(counter)


async def test_a_tree_that_never_stops_forking_is_frozen_whole(shim: Shim) -> None:
    counter = shim.bundle / "counter"
    await shim.run_python(programs.FORKS, str(counter))
    for cycle in range(5):
        if cycle:
            await shim.resume()
        await grows(counter)
        await shim.pause()
        pids = await shim.pids()
        assert len(pids) > 1
        await stands_still(pids, counter)


async def test_a_runner_through_pids_is_frozen_or_honestly_reported(shim: Shim) -> None:
    counter = shim.bundle / "counter"
    await shim.run_python(programs.RUNNER, str(counter))
    await grows(counter)
    try:
        await shim.pause()
    except StatusError:
        frozen = False
    else:
        frozen = True
    assert frozen or shim.kind.expected == "signals", "the kernel's freezer gets everybody"
    assert await shim.status() == (Status.PAUSED if frozen else Status.RUNNING)
    if frozen:
        await stands_still(await shim.pids(), counter)
    else:
        await grows(counter)


async def test_a_daemon_is_frozen_too(shim: Shim) -> None:
    counter, pid_file = shim.bundle / "counter", shim.bundle / "pid"
    await shim.run_python(programs.DAEMON, str(counter), str(pid_file))
    await grows(counter)

    await shim.pause()
    assert int(pid_file.read_text()) in await shim.pids()
    await stands_still(await shim.pids(), counter)
    await shim.resume()
    await grows(counter)


async def test_a_parent_in_vfork_is_frozen(shim: Shim) -> None:
    counter = shim.bundle / "counter"
    await shim.run_python(programs.VFORKS, str(counter))
    for _ in range(25):
        await grows(counter)
        await shim.pause()
        frozen = size_of(counter)
        await shim.status()
        assert size_of(counter) == frozen
        await shim.resume()


@pytest.mark.skipif(_EXIT is None, reason="the number of exit(2) is not known here")
async def test_threads_of_a_process_without_its_first_are_frozen(shim: Shim) -> None:
    counter = shim.bundle / "counter"
    await shim.run_python(programs.HEADLESS, str(counter), str(_EXIT))
    await grows(counter)

    pids = await shim.pids()
    await eventually(
        lambda: any(_is_headless(pid) for pid in pids), what="it lost its first thread"
    )
    await shim.pause()
    await stands_still(pids, counter)


async def test_what_was_stopped_before_stays_stopped(shim: Shim) -> None:
    counter, pid_file = shim.bundle / "counter", shim.bundle / "pid"
    await shim.run_python(programs.ONE_STOPPED, str(counter), str(pid_file))
    await grows(counter)
    stopped = int(pid_file.read_text())

    await shim.pause()
    await shim.resume()
    await grows(counter)
    assert _is_stopped(stopped)


async def test_no_parent_ever_sees_its_child_stopped(shim: Shim) -> None:
    counter, seen = shim.bundle / "counter", shim.bundle / "seen"
    await shim.run_python(programs.WATCHFUL, str(counter), str(seen))
    for _ in range(20):
        await grows(counter)
        await shim.pause()
        await shim.resume()
    await grows(counter)
    assert not seen.exists()


async def test_who_left_the_cgroup_makes_the_pause_fail_by_name(shim: Shim) -> None:
    if not shim.kind.expected.startswith("cgroup"):
        pytest.skip("there is no cgroup to leave")
    counter, pid_file = shim.bundle / "counter", shim.bundle / "pid"
    await shim.run_python(programs.DAEMON, str(counter), str(pid_file))
    await grows(counter)
    stray = int(pid_file.read_text())
    group = group_of(shim)
    (group.parents[1] / "cgroup.procs").write_text(str(stray))

    with pytest.raises(StatusError, match=f"process {stray} was not stopped") as caught:
        await shim.pause()

    assert caught.value.code == 2
    assert await shim.status() == Status.RUNNING
    assert not is_frozen(group)
    await grows(counter)


async def test_a_stray_stop_from_outside_is_not_ours_to_continue(shim: Shim) -> None:
    counter = await shim.count()
    (pid,) = await shim.pids()
    os.kill(pid, signal.SIGSTOP)
    await eventually(lambda: _is_stopped(pid), what="stopped from outside")

    await shim.pause()
    await shim.resume()

    assert _is_stopped(pid)
    os.kill(pid, signal.SIGCONT)
    await grows(counter)


def _is_stopped(pid: int) -> bool:
    process = look(pid)
    return process is not None and process.stopped


def _is_headless(pid: int) -> bool:
    process = look(pid)
    return process is not None and "Z" in process.threads and not process.dead
