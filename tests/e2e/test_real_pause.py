"""The whole way down: a gRPC call freezes the processes of a real runc container."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import grpc
import psutil
import pytest

from cubelet.api.v1 import sandboxes_pb2 as api
from tests.support.agent_process import AgentProcess, wait_until
from tests.support.counter import Counter
from tests.support.rootfs import build_rootfs
from tests.support.runc_wrapper import RuncWrapper

pytestmark = pytest.mark.real

CYCLES = 200


@pytest.fixture
def counter(real_agent: AgentProcess, state_dir: Path) -> Counter:
    return Counter(real_agent, "counter", build_rootfs(state_dir / "template"))


def pause(agent: AgentProcess, sandbox_id: str, *, timeout_s: float = 60) -> api.Sandbox:
    return agent.api.Pause(api.PauseRequest(id=sandbox_id), timeout=timeout_s).sandbox


def resume(agent: AgentProcess, sandbox_id: str) -> api.Sandbox:
    return agent.api.Resume(api.ResumeRequest(id=sandbox_id), timeout=60).sandbox


def pause_unless_busy(agent: AgentProcess, counter: Counter) -> api.Sandbox | None:
    """None where runc gave it up, as it does now and then on a busy machine, and thawed again."""
    try:
        return pause(agent, counter.id)
    except grpc.RpcError as failed:
        if "unable to freeze; it is RUNNING" in (failed.details() or ""):
            return None
        raise


def has_ended(pid: int) -> bool:
    """Whether it runs no more; who inherited its remains may not have reaped them yet."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_pause_freezes_and_resume_thaws(real_agent: AgentProcess, counter: Counter) -> None:
    assert pause(real_agent, counter.id).state == api.STATE_PAUSED
    assert counter.freezer_state() == "FROZEN"
    assert counter.stands_still()
    assert resume(real_agent, counter.id).state == api.STATE_RUNNING
    assert counter.freezer_state() == "THAWED"
    assert counter.goes_on()


@pytest.mark.timeout(180)
def test_200_cycles(real_agent: AgentProcess, counter: Counter) -> None:
    refused = 0
    for cycle in range(CYCLES):
        paused = pause_unless_busy(real_agent, counter)
        if paused is None:
            refused += 1
            assert (counter.freezer_state(), refused < 4) == ("THAWED", True), cycle
            paused = pause(real_agent, counter.id)
        assert (paused.state, counter.freezer_state()) == (api.STATE_PAUSED, "FROZEN"), cycle
        before = counter.value()
        resumed = resume(real_agent, counter.id)
        assert (resumed.state, counter.freezer_state()) == (api.STATE_RUNNING, "THAWED"), cycle
        wait_until(lambda before=before: counter.value() > before, what="counting")  # type: ignore[misc]
    assert resumed.epoch == 1 + 2 * CYCLES + refused


def test_kill_9_of_the_agent_at_rest_changes_nothing(
    real_agent: AgentProcess, counter: Counter
) -> None:
    real_agent.restart()
    assert real_agent.state(counter.id) == "RUNNING"
    assert counter.goes_on()
    pause(real_agent, counter.id)
    real_agent.restart()
    assert real_agent.state(counter.id) == "PAUSED"
    assert counter.freezer_state() == "FROZEN"
    assert counter.stands_still()
    resume(real_agent, counter.id)
    assert counter.goes_on()


def test_kill_9_of_the_agent_mid_pause(
    real_agent: AgentProcess, counter: Counter, wrapper: RuncWrapper
) -> None:
    """The shim kills its runc when the agent's connection drops: the pause never happens."""
    wrapper.delay("pause", counter.id, 5)
    caller = threading.Thread(target=_swallow, args=(real_agent, counter.id))
    caller.start()
    wait_until(lambda: wrapper.has_begun("pause", counter.id), what="runc is running")
    real_agent.restart()
    caller.join()
    wrapper.no_delay("pause", counter.id)
    assert real_agent.state(counter.id) == "PAUSING"
    wait_until(lambda: real_agent.state(counter.id) == "RUNNING", what="settled", within_s=15)
    assert counter.freezer_state() == "THAWED"
    assert counter.goes_on()
    assert pause(real_agent, counter.id).state == api.STATE_PAUSED


def test_kill_9_of_the_agent_after_the_freeze_never_shows_running(
    real_agent: AgentProcess, counter: Counter, wrapper: RuncWrapper
) -> None:
    """The shim kills its runc, forgets the freeze, and says RUNNING: that is not believed."""
    wrapper.linger("pause", counter.id, 5)
    caller = threading.Thread(target=_swallow, args=(real_agent, counter.id))
    caller.start()
    wait_until(lambda: wrapper.has_begun("pause", counter.id), what="runc has frozen it")
    real_agent.restart()
    caller.join()
    assert counter.freezer_state() == "FROZEN"

    def seen() -> api.Sandbox:
        return real_agent.api.Get(api.GetRequest(id=counter.id), timeout=20).sandbox

    contradiction = "says RUNNING, but it is frozen"
    wait_until(lambda: contradiction in seen().last_observation.evidence, what="not believed")
    assert seen().state == api.STATE_PAUSING
    real_agent.api.Delete(api.DeleteRequest(id=counter.id), timeout=60)
    assert has_ended(counter.pid)


def _swallow(agent: AgentProcess, sandbox_id: str) -> None:
    with pytest.raises(grpc.RpcError):
        pause(agent, sandbox_id)


@pytest.mark.timeout(120)
def test_a_pause_on_a_hung_shim_and_one_on_a_slow_runc(
    real_agent: AgentProcess, counter: Counter, wrapper: RuncWrapper, state_dir: Path
) -> None:
    """Once for real: the failure at 30 s, no runc killed, and the view follows the truth after."""
    slow = Counter(real_agent, "slow", state_dir / "template")
    wrapper.delay("pause", slow.id, 40)
    shim = psutil.Process(counter.pid).parent()
    assert shim is not None
    os.kill(shim.pid, signal.SIGSTOP)
    errors: dict[str, tuple[grpc.StatusCode, float]] = {}

    def call(sandbox_id: str) -> None:
        begun_s = time.monotonic()
        with pytest.raises(grpc.RpcError) as caught:
            pause(real_agent, sandbox_id)
        errors[sandbox_id] = (caught.value.code(), time.monotonic() - begun_s)

    callers = [threading.Thread(target=call, args=(name,)) for name in (counter.id, slow.id)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    for code, took_s in errors.values():
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert 30 <= took_s < 37
    assert len(errors) == 2

    os.kill(shim.pid, signal.SIGCONT)
    wait_until(lambda: real_agent.state(counter.id) == "PAUSED", what="the late pause shows")
    assert counter.freezer_state() == "FROZEN"
    wait_until(lambda: real_agent.state(slow.id) == "PAUSED", what="paused", within_s=15)
    assert wrapper.has_slept_through("pause", slow.id)
    assert slow.freezer_state() == "FROZEN"


def test_sigterm_lets_a_pause_in_flight_end(
    real_agent: AgentProcess, counter: Counter, wrapper: RuncWrapper
) -> None:
    wrapper.delay("pause", counter.id, 2)
    answers: list[int] = []
    caller = threading.Thread(
        target=lambda: answers.append(pause(real_agent, counter.id).state), daemon=True
    )
    caller.start()
    wait_until(lambda: wrapper.has_begun("pause", counter.id), what="runc is running")
    os.kill(real_agent.pid, signal.SIGTERM)
    caller.join()
    assert answers == [api.STATE_PAUSED]
    assert real_agent.terminate() == 0
    real_agent.start()
    assert real_agent.state(counter.id) == "PAUSED"


def test_a_paused_and_a_hung_sandbox_can_be_deleted_and_leave_nothing(
    real_agent: AgentProcess, counter: Counter, state_dir: Path
) -> None:
    pause(real_agent, counter.id)
    hung = Counter(real_agent, "hung", state_dir / "template")
    shim = psutil.Process(hung.pid).parent()
    assert shim is not None
    shim.suspend()
    for victim in (counter, hung):
        real_agent.api.Delete(api.DeleteRequest(id=victim.id), timeout=60)
        wait_until(lambda pid=victim.pid: has_ended(pid), what="it has ended")  # type: ignore[misc]
    assert has_ended(shim.pid)
    assert not real_agent.api.List(api.ListRequest(), timeout=5).sandboxes
    assert str(state_dir) not in Path("/proc/self/mountinfo").read_text()
    assert not list((state_dir / "sandboxes").iterdir())
