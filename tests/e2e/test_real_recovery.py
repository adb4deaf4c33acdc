"""The agent is killed while a real runc is at work: the next one mends what that left."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from cubelet.api.v1 import sandboxes_pb2 as api
from tests.support.agent_process import AgentProcess, wait_until
from tests.support.counter import Counter
from tests.support.cubecli import explained
from tests.support.rootfs import build_rootfs
from tests.support.runc_wrapper import RuncWrapper

pytestmark = pytest.mark.real

#: Longer than the test takes: whoever lingers so long is killed, by its shim.
LINGER_S = 30


def test_the_trace_of_a_killed_agent_is_healed(
    quick_agent: AgentProcess, state_dir: Path, wrapper: RuncWrapper
) -> None:
    """One was to be frozen, one to be thawed; runc had done so and was killed by the shim then."""
    agent, template = quick_agent, build_rootfs(state_dir / "template")
    frozen = Counter(agent, f"{state_dir.name}-frozen", template)
    thawed = Counter(agent, f"{state_dir.name}-thawed", template)
    agent.api.Pause(api.PauseRequest(id=thawed.id))
    wrapper.linger("pause", frozen.id, LINGER_S)
    wrapper.linger("resume", thawed.id, LINGER_S)
    pausing = agent.api.Pause.future(api.PauseRequest(id=frozen.id), timeout=60)
    resuming = agent.api.Resume.future(api.ResumeRequest(id=thawed.id), timeout=60)
    wait_until(lambda: wrapper.has_begun("pause", frozen.id), what="runc has frozen one")
    wait_until(lambda: wrapper.has_begun("resume", thawed.id), what="runc has thawed the other")
    agent.restart()
    assert {pausing.code(), resuming.code()} <= {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
    }
    assert (frozen.freezer_state(), thawed.freezer_state()) == ("FROZEN", "THAWED")
    assert (agent.seen(frozen.id)[0], agent.seen(thawed.id)[0]) == ("PAUSING", "RESUMING")

    wait_until(lambda: agent.seen(frozen.id) == ("RUNNING", set()), what="the freeze is healed")
    assert frozen.freezer_state() == "THAWED"
    assert frozen.goes_on()
    wait_until(lambda: agent.seen(thawed.id) == ("PAUSED", set()), what="the thaw is healed")
    assert thawed.freezer_state() == "FROZEN"
    assert thawed.stands_still()
    for counter, says, to_be in (
        (frozen, "RUNNING, but it is frozen", "thawed"),
        (thawed, "PAUSED, but it is not frozen", "frozen"),
    ):
        told = explained(agent, counter.id)
        details = [detail for _, detail in told.journal]
        assert f"our own trace: shim says {says}; to be {to_be} past the shim" in details
        assert "put in agreement with its shim, past it" in details
        assert not told.ways_out

    wrapper.no_linger("pause", frozen.id)
    wrapper.no_linger("resume", thawed.id)
    paused = agent.api.Pause(api.PauseRequest(id=frozen.id), timeout=60).sandbox
    assert (paused.state, frozen.freezer_state()) == (api.STATE_PAUSED, "FROZEN")
    resumed = agent.api.Resume(api.ResumeRequest(id=thawed.id), timeout=60).sandbox
    assert (resumed.state, thawed.freezer_state()) == (api.STATE_RUNNING, "THAWED")
    assert thawed.goes_on()
