"""Shims that hang, die or cannot tell: the view comes to the kernel's truth by itself."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest

from cubelet.api.v1 import sandboxes_pb2 as api
from shimclient import Client
from shimclient.task import Task
from tests.support.agent_process import AgentProcess, wait_until
from tests.support.counter import Counter
from tests.support.cubecli import cubecli, explained
from tests.support.labs import runs
from tests.support.leftovers import remains_of
from tests.support.rootfs import build_rootfs
from tests.support.runc_wrapper import RuncWrapper

pytestmark = pytest.mark.real

LINGER_S = 30
DEADLINE = "the runtime gave no answer within 2 s"


@pytest.fixture
def template(state_dir: Path) -> Path:
    return build_rootfs(state_dir / "template")


def test_a_late_pause_and_a_late_resume(
    quick_agent: AgentProcess, template: Path, state_dir: Path
) -> None:
    """A stopped shim reads its requests when it is let go, long after their caller has left."""
    agent = quick_agent
    to_pause = Counter(agent, f"{state_dir.name}-pause", template)
    to_resume = Counter(agent, f"{state_dir.name}-resume", template)
    agent.api.Pause(api.PauseRequest(id=to_resume.id))
    for counter in (to_pause, to_resume):
        counter.shim.suspend()
    pausing = agent.api.Pause.future(api.PauseRequest(id=to_pause.id), timeout=60)
    resuming = agent.api.Resume.future(api.ResumeRequest(id=to_resume.id), timeout=60)
    assert pausing.code() is resuming.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    for counter, state in ((to_pause, "PAUSING"), (to_resume, "RESUMING")):
        told = explained(agent, counter.id)
        assert told.state == state
        assert DEADLINE in told.why
        assert "UNSEEN" in told.conditions
        assert told.ways_out == [f"cubecli reconcile {counter.id}", f"cubecli rm {counter.id}"]
    assert to_pause.goes_on()
    assert to_resume.stands_still()

    to_pause.shim.resume()
    to_resume.shim.resume()
    wait_until(lambda: agent.seen(to_pause.id) == ("PAUSED", set()), what="the late pause shows")
    wait_until(lambda: agent.seen(to_resume.id) == ("RUNNING", set()), what="the resume does too")
    assert (to_pause.freezer_state(), to_resume.freezer_state()) == ("FROZEN", "THAWED")
    assert to_pause.stands_still()
    assert to_resume.goes_on()
    for counter, settled in (
        (to_pause, "pause reached: shim says PAUSED"),
        (to_resume, "resume reached: shim says RUNNING"),
    ):
        told = explained(agent, counter.id)
        cause, detail = told.journal[-1]
        assert cause in {"settle", "event"}
        assert detail.startswith(settled)
        assert detail.endswith(f"its call had failed: {DEADLINE}")


def test_a_shim_killed_in_mid_pause(
    quick_agent: AgentProcess, template: Path, state_dir: Path, wrapper: RuncWrapper
) -> None:
    """Its runc dies with it; the orphaned container lives on, and is not called ended."""
    agent = quick_agent
    orphan = Counter(agent, f"{state_dir.name}-orphan", template)
    ended = Counter(agent, f"{state_dir.name}-ended", template)
    wrapper.linger("pause", orphan.id, LINGER_S)
    wrapper.delay("pause", ended.id, LINGER_S)
    shims = [orphan.shim, ended.shim]
    calls = [
        agent.api.Pause.future(api.PauseRequest(id=counter.id), timeout=60)
        for counter in (orphan, ended)
    ]
    wait_until(lambda: wrapper.has_begun("pause", orphan.id), what="runc has frozen one")
    wait_until(lambda: wrapper.has_begun("pause", ended.id), what="runc is to freeze the other")
    for shim in shims:
        shim.kill()
    assert {call.code() for call in calls} == {grpc.StatusCode.UNAVAILABLE}
    assert (orphan.freezer_state(), ended.freezer_state()) == ("FROZEN", "THAWED")
    assert ended.goes_on()

    psutil.Process(ended.pid).kill()
    wait_until(lambda: agent.seen(ended.id)[0] == "EXITED", what="its end is proven")
    overdue = {"OVERDUE", "UNSEEN"}
    wait_until(lambda: agent.seen(orphan.id) == ("PAUSING", overdue), what="it is told")
    told = explained(agent, orphan.id)
    assert "shim" in told.conditions["UNSEEN"]
    assert f"its process {orphan.pid} lives" in told.conditions["UNSEEN"]
    assert told.ways_out == [f"cubecli reconcile {orphan.id}", f"cubecli rm {orphan.id}"]
    gone = explained(agent, ended.id)
    assert gone.why.startswith("it has ended")
    assert f"its process {ended.pid} has ended" in gone.why

    cubecli(agent, "rm", orphan.id, ended.id)
    assert not remains_of(state_dir)
    assert not runs(orphan.pid)


class Refusing:
    """A sink for events that takes every connection and hangs up on it, in the agent's place."""

    def __init__(self, path: Path) -> None:
        path.unlink()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self.refused = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.close()
                self.refused += 1


@pytest.fixture
def refusing(real_agent: AgentProcess) -> Iterator[Refusing]:
    sink = Refusing(real_agent.state_dir / "run" / "events.sock")
    yield sink
    sink.close()


async def strangers_pause(counter: Counter, state_dir: Path) -> None:
    """A pause by the shim itself, but not by us."""
    address = (state_dir / "sandboxes" / counter.id / "address").read_text()
    client = await Client.connect(address)
    try:
        await Task(client).pause(counter.id, local_timeout_s=10)
    finally:
        await client.close()


def test_with_all_events_lost(
    real_agent: AgentProcess, refusing: Refusing, template: Path, state_dir: Path
) -> None:
    """Answers and rounds are enough; this one has the patience of production."""
    agent = real_agent
    counter = Counter(agent, state_dir.name, template)
    assert agent.api.Pause(api.PauseRequest(id=counter.id)).sandbox.state == api.STATE_PAUSED
    assert (agent.listed(counter.id), counter.freezer_state()) == ("PAUSED", "FROZEN")
    assert agent.api.Resume(api.ResumeRequest(id=counter.id)).sandbox.state == api.STATE_RUNNING
    assert (agent.listed(counter.id), counter.freezer_state()) == ("RUNNING", "THAWED")
    assert counter.goes_on()

    asyncio.run(strangers_pause(counter, state_dir))
    paused = ("PAUSED", set[str]())
    wait_until(lambda: agent.seen(counter.id) == paused, what="a round sees it", within_s=12)
    assert counter.freezer_state() == "FROZEN"
    assert counter.stands_still()
    told = explained(agent, counter.id)
    cause, detail = told.journal[-1]
    assert (cause, detail.startswith("not by us: shim says PAUSED")) == ("relist", True)
    assert refusing.refused
    assert agent.api.Resume(api.ResumeRequest(id=counter.id)).sandbox.state == api.STATE_RUNNING
    assert counter.goes_on()
