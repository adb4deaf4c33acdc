from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from cubelet.runtime.identity import Identity, find_by_cwd, identify
from cubelet.runtime.launch import identified
from cubelet.runtime.note import handle_at
from tests.support.polling import eventually


@pytest.fixture
async def sleeper(tmp_path: Path) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec("sleep", "1000", cwd=tmp_path)
    yield process
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def identity_of(process: Process) -> Identity:
    identity = identify(process.pid)
    assert identity is not None
    return identity


def test_we_live() -> None:
    ourselves = identify(os.getpid())
    assert ourselves is not None
    assert ourselves.alive


@pytest.mark.parametrize("pid", [0, -1, 1 << 24])
def test_what_is_no_process_has_no_identity(pid: int) -> None:
    assert identify(pid) is None
    assert not Identity(pid, 0).alive
    assert not Identity(pid, 1).kill()


async def test_killed_and_seen_to_end(sleeper: Process) -> None:
    identity = identity_of(sleeper)
    assert not await identity.ended(0.01)
    assert identity.kill()
    assert await identity.ended(5)
    assert not identity.alive


async def test_another_process_of_the_same_pid_is_not_it(sleeper: Process) -> None:
    other = Identity(sleeper.pid, identity_of(sleeper).start_ticks - 1)
    assert not other.alive
    assert not other.kill()
    assert await other.ended(0)
    assert identity_of(sleeper).alive


async def test_nobody_is_killed_by_an_identity_that_was_never_seen(sleeper: Process) -> None:
    assert not Identity(sleeper.pid, 0).kill()
    assert identity_of(sleeper).alive


async def test_what_waits_to_be_reaped_does_not_live() -> None:
    # asyncio would reap it at once.
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:  # noqa: ASYNC220
        identity = identify(process.pid)
        assert identity is not None
        assert process.stdin is not None
        process.stdin.close()
        assert await identity.ended(5)
        os.kill(process.pid, 0)  # Its pid is taken until it is reaped.
        assert identify(process.pid) is None


async def test_a_process_lives_as_long_as_one_of_its_threads_does() -> None:
    code = (
        "import ctypes, threading\n"
        "threading.Thread(target=input).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdin=asyncio.subprocess.PIPE
    )
    try:
        stat = Path(f"/proc/{process.pid}/stat")
        await eventually(lambda: ") Z " in stat.read_text(), what="its first thread has ended")
        assert identity_of(process).alive
    finally:
        process.kill()
        await process.communicate()


async def test_found_by_folder_and_argument(sleeper: Process, tmp_path: Path) -> None:
    await eventually(
        lambda: b"sleep" in Path(f"/proc/{sleeper.pid}/cmdline").read_bytes(), what="it sleeps"
    )
    assert find_by_cwd(tmp_path, "1000") == [identity_of(sleeper)]
    assert find_by_cwd(tmp_path, "another-id") == []
    assert find_by_cwd(tmp_path / "elsewhere", "1000") == []


async def test_a_process_older_than_the_shim_is_none_of_its_sandbox(sleeper: Process) -> None:
    handle = identified(handle_at("unix:///s", 2), shim_pid=sleeper.pid, pid=os.getpid())
    assert (handle.shim_pid, handle.pid) == (sleeper.pid, os.getpid())
    assert handle.shim_start_ticks == identity_of(sleeper).start_ticks
    assert handle.pid_start_ticks == 0
    right = identified(handle_at("unix:///s", 2), shim_pid=os.getpid(), pid=sleeper.pid)
    assert right.pid_start_ticks == identity_of(sleeper).start_ticks
