"""A living sandbox whose record is gone: told, left alone, and removed when that is asked for."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from cubelet.api.v1 import node_pb2, node_pb2_grpc
from cubelet.api.v1 import sandboxes_pb2 as api
from cubelet.runtime.identity import identify
from tests.e2e.test_operations import blocks, constant, run
from tests.support.agent_process import AgentProcess, wait_until
from tests.support.counter import Counter
from tests.support.cubecli import cubecli
from tests.support.leftovers import remains_of
from tests.support.rootfs import build_rootfs

pytestmark = pytest.mark.real


def without_record(agent: AgentProcess, sandbox_id: str) -> None:
    """As after a store was put back that is older than the sandbox: the agent does not know it."""
    agent.kill()
    with sqlite3.connect(agent.state_dir / "cubelet.db") as connection:
        connection.execute("DELETE FROM sandboxes WHERE id = ?", (sandbox_id,))
    connection.close()


def conditions(agent: AgentProcess) -> list[str]:
    status = node_pb2_grpc.NodeStub(agent.channel).Status(node_pb2.StatusRequest(), timeout=10)
    return [condition.kind for condition in status.conditions]


def test_it_is_told_and_removed_only_when_that_is_asked_for(
    quick_agent: AgentProcess, state_dir: Path
) -> None:
    agent, template = quick_agent, build_rootfs(state_dir / "template")
    lost = Counter(agent, f"{state_dir.name}-lost", template)
    kept = Counter(agent, f"{state_dir.name}-kept", template)
    assert (cubecli(agent, "doctor"), conditions(agent)) == ("no orphans\n", [])
    shim = lost.shim
    without_record(agent, lost.id)
    agent.start()
    wait_until(lambda: conditions(agent) == ["ORPHANS"], what="it is found at start")
    (line,) = [line for line in agent.log.read_text().splitlines() if '"orphan"' in line]
    assert lost.id in line
    assert f"living shim, process {shim.pid} " in line

    (told,) = blocks("orphans", "text")
    found = cubecli(agent, "doctor", code=8)
    assert shape(found.replace(lost.id, "demo"), state_dir) == shape(told, Path("/var/lib/cubelet"))
    assert lost.goes_on()

    (script,) = blocks("orphans", "sh")
    (fixed,) = run(agent, lost.id, script)
    assert fixed.splitlines()[0] == "demo  shimv2  removed"
    assert fixed.splitlines()[-1] == "nothing is left"
    assert (identify(lost.pid), identify(shim.pid)) == (None, None)
    assert kept.goes_on()
    assert (cubecli(agent, "doctor"), conditions(agent)) == ("no orphans\n", [])
    assert not [line for line in remains_of(state_dir) if lost.id in line]
    assert agent.state(kept.id) == "RUNNING"
    again = Counter(agent, lost.id, template)
    assert again.goes_on()


def shape(text: str, state_dir: Path) -> str:
    """What stays the same from one host and time to the next."""
    text = constant(text.replace(str(state_dir), "STATE"))
    text = re.sub(r"process \d+", "process PID", text)
    text = re.sub(r"with \d+ living", "with SOME living", text)
    text = re.sub(r"/cubelet/[0-9a-f]{8}/", "/cubelet/AGENT/", text)
    return re.sub(r"[0-9a-f]{64}", "NAME", text)


def test_it_is_removed_at_start_where_that_is_configured(
    quick_agent: AgentProcess, state_dir: Path
) -> None:
    agent, template = quick_agent, build_rootfs(state_dir / "template")
    lost = Counter(agent, f"{state_dir.name}-lost", template)
    kept = Counter(agent, f"{state_dir.name}-kept", template)
    agent.api.Pause(api.PauseRequest(id=lost.id))
    without_record(agent, lost.id)
    agent.environ["CUBELET_ORPHANS__REMOVE_AT_START"] = "true"
    agent.start()
    wait_until(lambda: identify(lost.pid) is None, what="it is removed")
    assert kept.goes_on()
    wait_until(lambda: cubecli(agent, "doctor") == "no orphans\n", what="nothing is left")
