"""The agent as a process, on the runtimes that work for everybody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from cubelet.api.v1 import sandboxes_pb2 as api
from tests.support.agent_process import AgentProcess, wait_until


def create(agent: AgentProcess, sandbox_id: str) -> api.Sandbox:
    spec = api.Spec(args=["/bin/sh", "-c", "while :; do sleep 0.05; done"])
    return agent.api.Create(api.CreateRequest(id=sandbox_id, spec=spec), timeout=30).sandbox


def test_pause_survives_kill_9(plain_agent: AgentProcess) -> None:
    create(plain_agent, "sb")
    plain_agent.api.Pause(api.PauseRequest(id="sb"), timeout=30)
    plain_agent.restart()
    assert plain_agent.state("sb") == "PAUSED"
    resumed = plain_agent.api.Resume(api.ResumeRequest(id="sb"), timeout=30).sandbox
    assert (resumed.state, resumed.epoch) == (api.STATE_RUNNING, 3)
    plain_agent.api.Delete(api.DeleteRequest(id="sb"), timeout=30)
    plain_agent.restart()
    assert not plain_agent.api.List(api.ListRequest(), timeout=5).sandboxes


def test_an_end_is_seen_without_being_asked_for(plain_agent: AgentProcess) -> None:
    """Only `process` has a real one to end; the fake's is ended the same way, by its pid."""
    sandbox = create(plain_agent, "sb")
    subprocess.run(["kill", "-9", str(sandbox.pid)], check=True)

    def ended() -> bool:
        (listed,) = plain_agent.api.List(api.ListRequest(), timeout=5).sandboxes
        return listed.state == api.STATE_EXITED and listed.exit_code == 137

    wait_until(ended, what="the exit event was followed up")


@pytest.mark.parametrize("plain_agent", ["process"], indirect=True)
def test_a_second_agent_on_the_same_state_is_refused(plain_agent: AgentProcess) -> None:
    second = subprocess.run(
        [
            sys.executable,
            "-m",
            "cubelet.app",
            "serve",
            "--config",
            str(plain_agent.state_dir / "config.toml"),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 6
    assert f"belongs to a running agent (pid {plain_agent.pid})" in second.stderr
    assert "Traceback" not in second.stderr
    assert len(second.stderr.strip().splitlines()) == 1
    create(plain_agent, "still-there")


@pytest.mark.parametrize("plain_agent", ["process"], indirect=True)
def test_sigterm_at_rest_exits_0_and_leaves_sandboxes_running(plain_agent: AgentProcess) -> None:
    pid = create(plain_agent, "sb").pid
    assert plain_agent.terminate() == 0
    assert not plain_agent.socket.exists()
    assert Path(f"/proc/{pid}").exists()
    plain_agent.start()
    assert plain_agent.state("sb") == "RUNNING"


@pytest.mark.parametrize("plain_agent", ["process"], indirect=True)
def test_it_uses_all_the_files_that_it_may(plain_agent: AgentProcess) -> None:
    """At the usual 1,024 it would run out at some four hundred sandboxes."""
    limits = Path(f"/proc/{plain_agent.pid}/limits").read_text()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
    soft, hard = line.split()[3:5]
    assert soft == hard


@pytest.mark.parametrize("plain_agent", ["process"], indirect=True)
def test_unknown_ids_are_not_found(plain_agent: AgentProcess) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        plain_agent.api.Pause(api.PauseRequest(id="nobody"), timeout=5)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("plain_agent", ["fake"], indirect=True)
def test_a_second_sigterm_does_not_wait_and_the_hung_pause_stays_open_on_disk(
    plain_agent: AgentProcess,
) -> None:
    script = '{"failpoints": "pause=hang"}'
    spec = api.Spec(args=["/bin/true"], annotations={"shimclient.fake/script": script})
    plain_agent.api.Create(api.CreateRequest(id="sb", spec=spec), timeout=30)
    pause = plain_agent.api.Pause.future(api.PauseRequest(id="sb"), timeout=30)
    wait_until(lambda: plain_agent.listed("sb") == "PAUSING", what="the pause was begun")
    os.kill(plain_agent.pid, signal.SIGTERM)
    wait_until(lambda: "SHUTTING_DOWN" in refusal(plain_agent), what="it drains")
    assert plain_agent.terminate(within_s=10) == 0
    with pytest.raises(grpc.RpcError):
        pause.result()
    plain_agent.start()
    assert plain_agent.listed("sb") == "PAUSING"
    plain_agent.api.Delete(api.DeleteRequest(id="sb"), timeout=60)


def refusal(agent: AgentProcess) -> str:
    """What a new request is told, with the details of its status."""
    with pytest.raises(grpc.RpcError) as caught:
        agent.api.Get(api.GetRequest(id="nobody"), timeout=5)
    return str(caught.value.trailing_metadata())
