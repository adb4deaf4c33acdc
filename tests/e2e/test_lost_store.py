"""The store is lost under living sandboxes, and the host is restarted: the agent says what is so.

What imitates a restart of the host: everything of the sandboxes that is not on disk is taken away,
and the agent is told another boot id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from cubelet.api.v1 import node_pb2 as node
from cubelet.api.v1 import node_pb2_grpc as node_grpc
from cubelet.api.v1 import sandboxes_pb2 as api
from tests.crash.points import BOOT_ID
from tests.support import leftovers
from tests.support.agent_process import AgentProcess, wait_until
from tests.support.counter import Counter
from tests.support.cubecli import explained
from tests.support.rootfs import build_rootfs

DB = "cubelet.db"
INVALID = "BINDINGS_INVALID"


def damage(state_dir: Path) -> None:
    """Write over the first pages, as a stray dd does."""
    with (state_dir / DB).open("r+b") as file:
        file.write(b"\x5a" * 3 * 4096)


def delete(state_dir: Path) -> None:
    """As whoever takes it for a cache."""
    for file in state_dir.glob(f"{DB}*"):
        file.unlink()


def create(agent: AgentProcess, sandbox_id: str, **annotations: str) -> None:
    spec = api.Spec(
        args=["/bin/sh", "-c", "while :; do sleep 0.05; done"],
        annotations={f"shimclient.fake/{name}": text for name, text in annotations.items()},
        labels={"app": "web"},
    )
    agent.api.Create(api.CreateRequest(id=sandbox_id, spec=spec), timeout=30)


def status(agent: AgentProcess) -> node.StatusResponse:
    return node_grpc.NodeStub(agent.channel).Status(node.StatusRequest(), timeout=5)


def known(agent: AgentProcess) -> bool:
    return not status(agent).unreadable and not status(agent).conditions


@pytest.mark.parametrize("lose", [damage, delete])
def test_what_lives_is_known_again(plain_agent: AgentProcess, lose: Callable[[Path], None]) -> None:
    agent = plain_agent
    create(agent, "running")
    create(agent, "paused")
    paused = agent.api.Pause(api.PauseRequest(id="paused"), timeout=30).sandbox
    agent.kill()
    lose(agent.state_dir)
    agent.start()
    wait_until(lambda: known(agent), what="both shims have answered", within_s=30)
    assert agent.seen("running") == ("RUNNING", {INVALID})
    assert agent.seen("paused") == ("PAUSED", {INVALID})
    kept = [path.name for path in agent.state_dir.glob("quarantine/*/*")]
    assert (DB in kept) is (lose is damage)
    again = agent.api.Get(api.GetRequest(id="paused"), timeout=10).sandbox
    assert (again.spec.labels, again.pid) == (paused.spec.labels, paused.pid)
    assert again.revision > paused.revision
    assert again.epoch > paused.epoch
    told = explained(agent, "paused")
    assert "its record was made anew from what is on the host" in told.why
    ((cause, detail),) = told.journal
    why = "the file was damaged" if lose is damage else "there was no file"
    assert cause == "recovery"
    assert f"its record was lost ({why}" in detail
    agent.api.Resume(api.ResumeRequest(id="paused"), timeout=30)
    agent.restart()
    assert known(agent)
    assert (agent.listed("running"), agent.listed("paused")) == ("RUNNING", "RUNNING")


@pytest.mark.parametrize("plain_agent", ["fake"], indirect=True)
def test_one_whose_shim_hangs_is_listed_and_can_be_deleted(plain_agent: AgentProcess) -> None:
    agent = plain_agent
    create(agent, "well")
    create(agent, "hung", script='{"failpoints": "state=hang"}')
    agent.kill()
    delete(agent.state_dir)
    agent.start()
    wait_until(
        lambda: list(status(agent).unreadable) == ["hung"],
        what="the other is known again",
        within_s=30,
    )
    assert agent.listed("well") == "RUNNING"
    with pytest.raises(grpc.RpcError) as caught:
        agent.api.Get(api.GetRequest(id="hung"), timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    (condition,) = status(agent).conditions
    assert condition.kind == "REBUILDING"
    agent.restart()
    assert list(status(agent).unreadable) == ["hung"]
    agent.api.Delete(api.DeleteRequest(id="hung"), timeout=60)
    wait_until(lambda: known(agent), what="nothing is left to be known", within_s=30)
    assert not (agent.state_dir / "sandboxes" / "hung").exists()


@pytest.mark.real
def test_real_shims_are_asked_too(real_agent: AgentProcess, state_dir: Path) -> None:
    agent, template = real_agent, build_rootfs(state_dir / "template")
    runs = Counter(agent, f"{state_dir.name}-runs", template)
    stands = Counter(agent, f"{state_dir.name}-stands", template)
    agent.api.Pause(api.PauseRequest(id=stands.id), timeout=30)
    agent.kill()
    damage(state_dir)
    agent.start()
    wait_until(lambda: known(agent), what="both shims have answered", within_s=30)
    assert agent.seen(runs.id) == ("RUNNING", {INVALID})
    assert agent.seen(stands.id) == ("PAUSED", {INVALID})
    assert runs.goes_on()
    assert stands.stands_still()
    agent.api.Resume(api.ResumeRequest(id=stands.id), timeout=30)
    assert stands.goes_on()


@pytest.fixture(params=["process", "fake", pytest.param("shimv2", marks=pytest.mark.real)])
def rebooting_agent(request: pytest.FixtureRequest, state_dir: Path) -> Iterator[AgentProcess]:
    """An agent that can be told another boot id."""
    config = f'[runtime]\ndefault = "{request.param}"\n'
    agent = AgentProcess(state_dir, config, module="tests.crash.agent")
    agent.environ[BOOT_ID] = "first"
    agent.start()
    yield agent
    agent.close()


def test_a_restart_of_the_host_ends_all_and_clears_what_is_left(
    rebooting_agent: AgentProcess, request: pytest.FixtureRequest
) -> None:
    agent, real = rebooting_agent, "shimv2" in request.node.callspec.id
    template = str(build_rootfs(agent.state_dir / "template")) if real else ""
    command = ["/bin/sh", "-c", "while :; do sleep 0.05; done"]
    ids = [f"{agent.state_dir.name}-{number}" for number in range(2)]
    for sandbox_id in ids:
        spec = api.Spec(args=command, template=template)
        agent.api.Create(api.CreateRequest(id=sandbox_id, spec=spec), timeout=30)
    agent.api.Pause(api.PauseRequest(id=ids[1]), timeout=30)
    agent.kill()
    assert leftovers.clear(agent.state_dir)
    agent.environ[BOOT_ID] = "second"
    agent.start()
    for sandbox_id in ids:
        assert agent.listed(sandbox_id) == "EXITED"
        told = explained(agent, sandbox_id)
        assert "the host was restarted" in told.why
        causes = [cause for cause, _ in told.journal]
        assert (causes[0], "recovery" in causes) == ("rpc", True)
    folder = agent.state_dir / "sandboxes"
    wait_until(lambda: not list(folder.iterdir()), what="what was on disk is removed", within_s=30)
    assert leftovers.remains_of(folder) == []
    groups = [one for one in leftovers.remains_of(agent.state_dir) if "control group" in one]
    assert groups == []
    agent.restart()
    assert [agent.listed(sandbox_id) for sandbox_id in ids] == ["EXITED"] * 2
