"""Shim and kernel disagree about a real container: it is told, and mended for who asks."""

from __future__ import annotations

import subprocess
from pathlib import Path

import grpc
import pytest

from cubelet.api.v1 import sandboxes_pb2 as api
from tests.support.agent_process import AgentProcess, wait_until
from tests.support.counter import Counter
from tests.support.cubecli import cubecli, explained
from tests.support.reasons import reason_of
from tests.support.rootfs import build_rootfs
from tests.support.runc_wrapper import RuncWrapper

pytestmark = pytest.mark.real

DIVERGED = {"DIVERGED"}
#: Longer than the test takes: whoever lingers so long is killed.
LINGER_S = 30


@pytest.fixture
def counter(quick_agent: AgentProcess, state_dir: Path) -> Counter:
    return Counter(quick_agent, state_dir.name, build_rootfs(state_dir / "template"))


def observed_at(agent: AgentProcess, sandbox_id: str) -> int:
    """When its shim was last asked, in wall nanoseconds."""
    (found,) = [it for it in agent.api.List(api.ListRequest()).sandboxes if it.id == sandbox_id]
    return found.last_observation.at.ToNanoseconds()


def test_a_runc_killed_after_the_freeze(
    quick_agent: AgentProcess, counter: Counter, wrapper: RuncWrapper
) -> None:
    """The shim answers with an error, says RUNNING from then on, and refuses to thaw."""
    agent = quick_agent
    wrapper.linger("pause", counter.id, LINGER_S)
    pausing = agent.api.Pause.future(api.PauseRequest(id=counter.id), timeout=60)
    wait_until(lambda: wrapper.has_begun("pause", counter.id), what="runc has frozen it")
    wrapper.kill("pause", counter.id)
    assert reason_of(pausing.exception()) == "RUNTIME_REFUSED"
    assert (agent.listed(counter.id), counter.freezer_state()) == ("PAUSING", "FROZEN")

    wait_until(lambda: agent.seen(counter.id) == ("RUNNING", DIVERGED), what="it is told")
    assert counter.freezer_state() == "FROZEN"
    assert counter.stands_still()
    told = explained(agent, counter.id)
    assert told.conditions["DIVERGED"] == "the shim says RUNNING, the second witness says frozen"
    assert told.why.startswith("the shim says RUNNING, its processes are frozen")
    cause, detail = told.journal[-1]
    assert cause == "settle"
    assert "it is frozen; its call had failed: cannot pause sandbox" in detail
    assert told.ways_out == [f"cubecli repair {counter.id}"]

    wrapper.no_linger("pause", counter.id)
    cubecli(agent, "repair", counter.id)
    wait_until(lambda: agent.seen(counter.id) == ("RUNNING", set()), what="it is mended")
    assert counter.freezer_state() == "THAWED"
    assert counter.goes_on()
    assert agent.api.Pause(api.PauseRequest(id=counter.id)).sandbox.state == api.STATE_PAUSED


def test_a_runc_killed_after_the_thaw(
    quick_agent: AgentProcess, counter: Counter, wrapper: RuncWrapper
) -> None:
    """The shim says PAUSED over processes that run; repair freezes them, and resume works."""
    agent = quick_agent
    agent.api.Pause(api.PauseRequest(id=counter.id))
    wrapper.linger("resume", counter.id, LINGER_S)
    resuming = agent.api.Resume.future(api.ResumeRequest(id=counter.id), timeout=60)
    wait_until(lambda: wrapper.has_begun("resume", counter.id), what="runc has thawed it")
    wrapper.kill("resume", counter.id)
    assert reason_of(resuming.exception()) == "RUNTIME_REFUSED"

    wait_until(lambda: agent.seen(counter.id) == ("PAUSED", DIVERGED), what="it is told")
    assert counter.freezer_state() == "THAWED"
    assert counter.goes_on()
    told = explained(agent, counter.id)
    assert told.conditions["DIVERGED"] == (
        "the shim says PAUSED, the second witness says not frozen"
    )
    assert told.why.startswith("the shim says PAUSED, its processes are running")
    cause, detail = told.journal[-1]
    assert cause == "settle"
    assert "it is not frozen; its call had failed: cannot resume sandbox" in detail
    assert told.ways_out == [f"cubecli repair {counter.id}"]

    wrapper.no_linger("resume", counter.id)
    cubecli(agent, "repair", counter.id)
    wait_until(lambda: agent.seen(counter.id) == ("PAUSED", set()), what="it is mended")
    assert counter.freezer_state() == "FROZEN"
    assert counter.stands_still()
    assert agent.api.Resume(api.ResumeRequest(id=counter.id)).sandbox.state == api.STATE_RUNNING
    assert counter.goes_on()


def test_a_freeze_behind_the_agents_back(
    quick_agent: AgentProcess, counter: Counter, state_dir: Path
) -> None:
    """A stranger's doing is told, kept out of the way of, and never undone unasked."""
    agent = quick_agent
    runc = ("runc", "--root", str(state_dir / "runc" / "default"))
    subprocess.run([*runc, "pause", counter.id], check=True)
    wait_until(lambda: agent.seen(counter.id) == ("RUNNING", DIVERGED), what="it is told")

    with pytest.raises(grpc.RpcError) as refused:
        agent.api.Pause(api.PauseRequest(id=counter.id))
    assert reason_of(refused.value) == "DIVERGED"
    told = explained(agent, counter.id)
    assert "the second witness says frozen" in told.conditions["DIVERGED"]
    assert told.ways_out == [f"cubecli repair {counter.id}"]
    assert told.why.startswith("the shim says RUNNING, its processes are frozen")
    assert told.journal[-1] == ("relist", "diverged: shim says RUNNING, but it is frozen")
    before = observed_at(agent, counter.id)
    wait_until(lambda: observed_at(agent, counter.id) > before, what="the next round has passed")
    assert agent.seen(counter.id) == ("RUNNING", DIVERGED)
    assert counter.freezer_state() == "FROZEN"

    cubecli(agent, "repair", counter.id)
    wait_until(lambda: agent.seen(counter.id) == ("RUNNING", set()), what="it is mended")
    assert counter.freezer_state() == "THAWED"
    assert counter.goes_on()
