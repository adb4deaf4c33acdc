"""docs/operations.md: its outputs are what the agent says, and its commands do what it promises."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import grpc
import pytest

from cubelet.api.v1 import sandboxes_pb2 as api
from tests.support.agent_process import AgentProcess, wait_until
from tests.support.counter import Counter
from tests.support.cubecli import cubecli
from tests.support.leftovers import remains_of
from tests.support.rootfs import build_rootfs

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()

#: What differs from one time to the next, and what stands for it.
_VARIES = (
    (r"\b[0-9a-f]{32}\b", "OPERATION"),
    (r"\b\d+ ?[smhd]\b", "TIME"),
    (r"asked (once|\d+ times)", "asked TIMES"),
    (r", by \w+", ", by CAUSE"),
    (r"(?m)^  (now|later|in TIME)  ", "  WHEN  "),
    (r" +", " "),
)


def blocks(section: str, language: str) -> list[str]:
    found = re.search(rf"<!-- {section}: begin -->(.*)<!-- {section}: end -->", PAGE, re.DOTALL)
    assert found is not None, section
    return re.findall(rf"```{language}\n(.*?)```", found.group(1), re.DOTALL)


def constant(text: str) -> str:
    for pattern, instead in _VARIES:
        text = re.sub(pattern, instead, text)
    return text.strip()


def run(agent: AgentProcess, sandbox_id: str, script: str) -> list[str]:
    """What each command of a block prints, with the sandbox in the place of demo."""
    lines = [line.replace("demo", sandbox_id).split() for line in script.splitlines()]
    assert all(program == "cubecli" for program, *_ in lines)
    return [cubecli(agent, *words).replace(sandbox_id, "demo") for _, *words in lines]


def test_every_block_is_run_here() -> None:
    # The last three in test_store_commands, "disk" in test_failing_disk, "orphans" in
    # test_real_orphans.
    names = ("silent", "diverged", "disk", "orphans", "backup", "offline", "restore")
    sections = [block for name in names for block in blocks(name, "sh")]
    everywhere = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert everywhere == ["cubecli explain demo\n", *sections]


@pytest.fixture
def counter(quick_agent: AgentProcess, state_dir: Path) -> Counter:
    return Counter(quick_agent, state_dir.name, build_rootfs(state_dir / "template"))


@pytest.mark.real
def test_a_shim_that_says_nothing(
    quick_agent: AgentProcess, counter: Counter, state_dir: Path
) -> None:
    counter.shim.suspend()
    with pytest.raises(grpc.RpcError):
        quick_agent.api.Pause(api.PauseRequest(id=counter.id))
    told = {"OVERDUE", "UNSEEN"}
    wait_until(lambda: quick_agent.seen(counter.id)[1] == told, what="it is overdue")
    (explained,) = run(quick_agent, counter.id, "cubecli explain demo")
    assert [constant(explained)] == [constant(block) for block in blocks("silent", "text")]

    (ways_out,) = blocks("silent", "sh")
    forecast, looked, removed = run(quick_agent, counter.id, ways_out)
    assert "the shim was silent" in forecast
    assert "PAUSING" in looked
    assert removed == "demo\n"
    assert not remains_of(state_dir)


@pytest.mark.real
def test_shim_and_kernel_disagree(
    quick_agent: AgentProcess, counter: Counter, state_dir: Path
) -> None:
    runc_root = str(state_dir / "runc" / "default")
    subprocess.run(["runc", "--root", runc_root, "pause", counter.id], check=True)
    told = {"DIVERGED"}
    wait_until(lambda: quick_agent.seen(counter.id)[1] == told, what="it has diverged")
    (explained,) = run(quick_agent, counter.id, "cubecli explain demo")
    assert [constant(explained)] == [constant(block) for block in blocks("diverged", "text")]

    (way_out,) = blocks("diverged", "sh")
    repaired, journal = run(quick_agent, counter.id, way_out)
    assert "RUNNING" in repaired
    assert "repair requested: to be thawed past the shim" in journal
    assert counter.freezer_state() == "THAWED"
    assert counter.goes_on()
