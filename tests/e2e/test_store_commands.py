"""The store's commands as the documentation shows them, around agents that work and are killed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from cubelet.api.v1 import sandboxes_pb2 as api
from tests.support.agent_process import AgentProcess, wait_until

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
IDS = ("one", "two", "three")

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def agent(state_dir: Path) -> Iterator[AgentProcess]:
    """One with sandboxes of which one has snapshots."""
    agent = AgentProcess(state_dir, '[runtime]\ndefault = "fake"\n')
    agent.start()
    for sandbox_id in IDS:
        spec = api.Spec(args=["x"], env={"TOKEN": "hidden-value"})
        agent.api.Create(api.CreateRequest(id=sandbox_id, spec=spec), timeout=30)
    for name in ("base", "upon-it"):
        agent.api.Commit(api.CommitRequest(id="one", snapshot_id=name), timeout=30)
    yield agent
    agent.close()


def run(agent: AgentProcess, script: str) -> subprocess.CompletedProcess[str]:
    """What a reader's shell makes of it."""
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "STATE": str(agent.state_dir),
        "CUBELET_ADDRESS": str(agent.local_socket),
    }
    return subprocess.run(
        ["bash", "-euc", script], env=env, capture_output=True, text=True, check=False, timeout=50
    )


def documented(agent: AgentProcess, section: str) -> str:
    """What the section's commands print; they must succeed."""
    block = re.search(rf"<!-- {section}: begin -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None, section
    ran = run(agent, block.group(1))
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def states(agent: AgentProcess) -> dict[str, str]:
    """The state of each sandbox that is listed, from the agent's memory."""
    found = agent.api.List(api.ListRequest(), timeout=10).sandboxes
    return {one.id: api.State.Name(one.state).removeprefix("STATE_") for one in found}


@contextmanager
def at_work(agent: AgentProcess) -> Iterator[list[str]]:
    """Each sandbox is paused and resumed all the time; the answers that were OK, as they come."""
    stop = threading.Event()
    answered: list[str] = []

    def work(sandbox_id: str) -> None:
        while not stop.is_set():
            agent.api.Pause(api.PauseRequest(id=sandbox_id), timeout=30)
            answered.append(sandbox_id)
            agent.api.Resume(api.ResumeRequest(id=sandbox_id), timeout=30)
            answered.append(sandbox_id)

    with ThreadPoolExecutor(len(IDS)) as pool:
        working = [pool.submit(work, sandbox_id) for sandbox_id in IDS]
        try:
            yield answered
        finally:
            stop.set()
        for one in working:
            one.result()


def test_while_an_agent_runs_its_store_is_its_own(agent: AgentProcess) -> None:
    for command in ("check", 'import "$STATE/export"'):
        ran = run(agent, f'cubelet store {command} --state-dir "$STATE"')
        assert (ran.returncode, ran.stdout) == (6, ""), command
        assert f"belongs to a running agent (pid {agent.pid})" in ran.stderr
    assert states(agent) == dict.fromkeys(IDS, "RUNNING")


def test_a_backup_amid_work_is_sound_and_an_agent_starts_from_it(agent: AgentProcess) -> None:
    with at_work(agent) as answered:
        wait_until(lambda: len(answered) > len(IDS), what="the work has begun")
        before = len(answered)
        printed = documented(agent, "backup").splitlines()
        wait_until(lambda: set(answered[before:]) == set(IDS), what="the work goes on")
    assert printed[0] == str(agent.state_dir / "backups" / "before-upgrade.db")
    assert printed[1].startswith("good; 3 sandboxes, 2 snapshots, ")
    agent.api.Pause(api.PauseRequest(id="two"), timeout=30)
    spec = api.Spec(args=["x"])
    agent.api.Create(api.CreateRequest(id="newer", spec=spec), timeout=30)
    again = run(agent, "cubecli backup before-upgrade")
    assert again.returncode == 6
    agent.kill()

    assert "cubelet.db: 3 sandboxes, 2 snapshots, " in documented(agent, "restore")
    agent.start()
    as_it_was = {"one": "RUNNING", "two": "PAUSED", "three": "RUNNING", "newer": "RUNNING"}
    # A pause that was open in the copy is settled by two looks that are 10 s apart.
    wait_until(lambda: states(agent) == as_it_was, what="the shims have told", within_s=60)
    catalog = agent.api.ListSnapshots(api.ListSnapshotsRequest(), timeout=10).snapshots
    assert [snapshot.id for snapshot in catalog] == ["base", "upon-it"]
    agent.terminate()
    agent.start()
    assert states(agent) == as_it_was


def test_what_is_exported_is_all_that_an_agent_needs(agent: AgentProcess) -> None:
    agent.api.Pause(api.PauseRequest(id="two"), timeout=30)
    agent.kill()
    checked, *dumped, exported = documented(agent, "offline").splitlines()
    assert checked.startswith("good; 3 sandboxes, 2 snapshots, ")
    assert {json.loads(line)["table"] for line in dumped} == {"journal"}
    assert exported.startswith(f"{agent.state_dir}/store.jsonl: 3 sandboxes, 2 snapshots, ")
    assert "hidden-value" in (agent.state_dir / "store.jsonl").read_text()

    for path in agent.state_dir.glob("cubelet.db*"):
        path.unlink()
    ran = run(agent, 'cubelet store import --state-dir "$STATE" "$STATE/store.jsonl"')
    assert ran.returncode == 0, ran.stderr
    agent.start()
    assert states(agent) == {"one": "RUNNING", "two": "PAUSED", "three": "RUNNING"}
