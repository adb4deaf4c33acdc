"""The agent on a disk that really fails: full, unwritable, broken, and good again.

It goes on by itself once the disk does: none of these tests restarts it for that.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import grpc
import psutil
import pytest
from google.rpc import error_details_pb2  # type: ignore[import-untyped]
from grpc_status import rpc_status

from cubelet.api.v1 import node_pb2, node_pb2_grpc
from cubelet.api.v1 import sandboxes_pb2 as api
from cubelet.runtime.note import read_note
from cubelet.runtime.places import place_of
from tests.e2e.test_operations import blocks, constant, run
from tests.support import leftovers, small_disk
from tests.support.agent_process import AgentProcess, wait_until
from tests.support.cubecli import cubecli, explained
from tests.support.small_disk import SmallDisk

#: Two tries of the store that are 2 s apart, and a busy machine.
HEALED_WITHIN_S = 8.0
#: What a refusal names, and what it advises.
_FULL = {"names": "SQLITE_FULL", "advises": "free space"}
_IO_ERROR = {"names": "SQLITE_IOERR", "advises": "the kernel's log"}
_LOOP = ["/bin/sh", "-c", "while :; do sleep 0.05; done"]

needs_ext4 = pytest.mark.skipif(bool(small_disk.ext4_works()), reason=small_disk.ext4_works())


@pytest.fixture
def full_disk() -> Iterator[SmallDisk]:
    """One that can be filled."""
    with small_disk.tmpfs() as disk:
        yield disk


@pytest.fixture
def ext4() -> Iterator[SmallDisk]:
    with small_disk.ext4() as disk:
        yield disk


@contextmanager
def serving(
    state_dir: Path, runtime: str = "fake", *, mend: Callable[[], None] = lambda: None
) -> Iterator[AgentProcess]:
    """An agent; the disk is mended at the end, where a test that failed has not done it."""
    agent = AgentProcess(state_dir, f'[runtime]\ndefault = "{runtime}"\n')
    agent.start()
    try:
        yield agent
    finally:
        mend()
        agent.close()


def create(agent: AgentProcess, sandbox_id: str) -> None:
    spec = api.Spec(args=_LOOP)
    agent.api.Create(api.CreateRequest(id=sandbox_id, spec=spec), timeout=30)


def shim_of(agent: AgentProcess, sandbox_id: str) -> psutil.Process:
    note = read_note(place_of(agent.state_dir, sandbox_id))
    assert note is not None
    assert note.handle is not None
    return psutil.Process(note.handle.shim_pid)


def pause(agent: AgentProcess, sandbox_id: str) -> None:
    agent.api.Pause(api.PauseRequest(id=sandbox_id), timeout=30)


def degraded(agent: AgentProcess) -> str:
    """The evidence, "" where the store is well."""
    status = node_pb2_grpc.NodeStub(agent.channel).Status(node_pb2.StatusRequest(), timeout=5)
    found = {it.kind: it.evidence for it in status.conditions}
    assert set(found) <= {"DEGRADED_STORE"}
    return found.get("DEGRADED_STORE", "")


def check_refused(
    agent: AgentProcess, work: Callable[[], object], *, names: str, advises: str
) -> None:
    """It is told as what it is: not done, try again later, and what to do about it."""
    with pytest.raises(grpc.RpcError) as caught:
        work()
    call = cast("grpc.Call", caught.value)
    assert call.code() is grpc.StatusCode.UNAVAILABLE
    status = rpc_status.from_call(call)
    info = error_details_pb2.ErrorInfo()
    assert status is not None
    assert status.details[0].Unpack(info)
    assert info.reason == "STORE_FAILED"
    assert any(it.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for it in status.details)
    for part in (str(agent.state_dir / "cubelet.db"), names, advises):
        assert part in status.message, part


def check_reads(agent: AgentProcess, sandbox_id: str, state: str) -> None:
    """All that only reads goes on, and says what is wrong."""
    assert agent.state(sandbox_id) == state
    assert agent.seen(sandbox_id) == (state, {"DEGRADED_STORE"})
    found = explained(agent, sandbox_id)
    assert (found.state, list(found.conditions)) == (state, ["DEGRADED_STORE"])
    assert found.journal
    entries = agent.api.Journal(api.JournalRequest(id=sandbox_id), timeout=5).entries
    assert [entry.revision for entry in entries] == list(range(1, len(entries) + 1))
    assert "DEGRADED_STORE" in cubecli(agent, "info")


def check_healed(agent: AgentProcess) -> None:
    wait_until(lambda: not degraded(agent), what="the store works again", within_s=HEALED_WITHIN_S)


def states(agent: AgentProcess) -> dict[str, str]:
    """Of all, as List tells them."""
    listed = agent.api.List(api.ListRequest(), timeout=5).sandboxes
    return {it.id: api.State.Name(it.state).removeprefix("STATE_") for it in listed}


def limit_files(agent: AgentProcess, size: int) -> None:
    """Let its writes fail beyond this size; what fails without root and without a new disk."""
    resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def fails_to_start(agent: AgentProcess) -> str:
    """The one line that it ends with."""
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "cubelet.app", "serve"),
            *("--config", str(agent.state_dir / "config.toml")),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    (line,) = [line for line in ran.stderr.splitlines() if not line.startswith("{")]
    return line


@pytest.mark.real
@pytest.mark.parametrize("runtime", ["process", "fake"])
def test_a_full_disk_refuses_changes_and_nothing_else(full_disk: SmallDisk, runtime: str) -> None:
    with serving(full_disk.state_dir, runtime, mend=full_disk.free) as agent:
        create(agent, "sb")
        create(agent, "still")
        pause(agent, "still")
        full_disk.fill()
        for refused in (
            lambda: pause(agent, "sb"),
            lambda: agent.api.Resume(api.ResumeRequest(id="still"), timeout=30),
            lambda: agent.api.Delete(api.DeleteRequest(id="sb"), timeout=30),
            lambda: create(agent, "new"),
        ):
            check_refused(agent, refused, **_FULL)
        assert "SQLITE_FULL" in degraded(agent)
        check_reads(agent, "sb", "RUNNING")
        check_reads(agent, "still", "PAUSED")
        (command,), (told,) = blocks("disk", "sh"), blocks("disk", "text")
        (shown,) = run(agent, "sb", command)
        assert constant(shown.replace(str(agent.state_dir), "/var/lib/cubelet")) == constant(told)
        assert not list(agent.state_dir.glob("**/new"))

        full_disk.free()
        check_healed(agent)
        pause(agent, "sb")
        create(agent, "new")
        agent.restart()
        assert states(agent) == {"sb": "PAUSED", "still": "PAUSED", "new": "RUNNING"}
        assert agent.seen("sb") == ("PAUSED", set())


@pytest.mark.real
def test_an_outcome_for_which_the_disk_has_no_room_is_settled_when_it_has(
    full_disk: SmallDisk,
) -> None:
    """It fills up between intent and outcome."""
    with serving(full_disk.state_dir, mend=full_disk.free) as agent:
        create(agent, "sb")
        shim = shim_of(agent, "sb")
        shim.suspend()
        call = agent.api.Pause.future(api.PauseRequest(id="sb"), timeout=30)
        wait_until(lambda: agent.listed("sb") == "PAUSING", what="it was begun")
        full_disk.fill()
        shim.resume()
        check_refused(agent, call.result, **_FULL)
        check_reads(agent, "sb", "PAUSING")
        full_disk.free()
        wait_until(
            lambda: agent.listed("sb") in {"PAUSED", "RUNNING"},  # A shim needs room too.
            what="it was settled without being asked for",
            within_s=HEALED_WITHIN_S,
        )
        assert agent.state("sb") == agent.listed("sb")


def test_what_happened_while_nothing_could_be_written_is_written_later(state_dir: Path) -> None:
    """The disk fails between intent and outcome, of a pause and of a removal."""
    with serving(state_dir) as agent:
        create(agent, "sb")
        create(agent, "gone")
        shims = [shim_of(agent, sandbox_id) for sandbox_id in ("sb", "gone")]
        for shim in shims:
            shim.suspend()
        pausing = agent.api.Pause.future(api.PauseRequest(id="sb"), timeout=30)
        removing = agent.api.Delete.future(api.DeleteRequest(id="gone"), timeout=60)
        wait_until(
            lambda: states(agent) == {"sb": "PAUSING", "gone": "DELETED"}, what="both were begun"
        )
        limit_files(agent, 0)
        for shim in shims:
            shim.resume()
        for refused in (pausing.result, removing.result):
            check_refused(agent, refused, **_IO_ERROR)
        assert states(agent) == {"sb": "PAUSING", "gone": "DELETED"}
        limit_files(agent, resource.RLIM_INFINITY)
        wait_until(
            lambda: states(agent) == {"sb": "PAUSED"},
            what="both were settled without being asked for",
            within_s=HEALED_WITHIN_S,
        )
        log = agent.log.read_text()
        assert log.count('"event": "store_works_again"') == 1


@pytest.mark.real
def test_an_agent_does_not_start_on_a_full_disk_and_loses_nothing(full_disk: SmallDisk) -> None:
    with serving(full_disk.state_dir, mend=full_disk.free) as agent:
        create(agent, "sb")
        pause(agent, "sb")
        agent.kill()
        full_disk.fill()
        told = fails_to_start(agent)
        assert str(agent.state_dir / "cubelet.db") in told
        assert "free space" in told
        full_disk.free()
        agent.start()
        assert agent.state("sb") == "PAUSED"


@pytest.mark.parametrize("runtime", ["process", "fake"])
def test_writes_that_fail_are_told_and_end_by_themselves(state_dir: Path, runtime: str) -> None:
    with serving(state_dir, runtime) as agent:
        create(agent, "sb")
        limit_files(agent, 0)
        check_refused(agent, lambda: pause(agent, "sb"), **_IO_ERROR)
        check_reads(agent, "sb", "RUNNING")
        limit_files(agent, resource.RLIM_INFINITY)
        check_healed(agent)
        pause(agent, "sb")
        assert agent.seen("sb") == ("PAUSED", set())


@pytest.mark.real
@needs_ext4
def test_a_file_that_was_made_unwritable_and_writable_again(ext4: SmallDisk) -> None:
    """As by `chattr +i`, which stops root too, and those who have it open."""
    with serving(ext4.state_dir) as agent:
        create(agent, "sb")
        files = [str(path) for path in agent.state_dir.glob("cubelet.db*")]
        subprocess.run(["chattr", "+i", *files], check=True)
        check_refused(agent, lambda: pause(agent, "sb"), **_IO_ERROR)
        check_reads(agent, "sb", "RUNNING")
        subprocess.run(["chattr", "-i", *files], check=True)
        check_healed(agent)
        pause(agent, "sb")

        agent.kill()
        subprocess.run(["chattr", "+i", *files], check=True)
        told = fails_to_start(agent)
        subprocess.run(["chattr", "-i", *files], check=True)
        assert str(agent.state_dir / "cubelet.db") in told
        assert "writable" in told
        agent.start()
        assert agent.state("sb") == "PAUSED"


@pytest.mark.real
@needs_ext4
def test_a_file_system_that_the_kernel_made_read_only(ext4: SmallDisk) -> None:
    """Such a one needs a repair, and so a restart; until then the agent serves what it knows."""
    agent = AgentProcess(ext4.state_dir, '[runtime]\ndefault = "fake"\n')
    agent.start()
    create(agent, "sb")
    small_disk.break_down(ext4)
    check_refused(agent, lambda: pause(agent, "sb"), **_IO_ERROR)
    check_reads(agent, "sb", "RUNNING")
    agent.kill()
    told = fails_to_start(agent)
    assert "Read-only file system" in told
    assert leftovers.clear(agent.state_dir)  # Of the sandbox, which nobody could remove.
