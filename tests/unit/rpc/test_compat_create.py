"""Create and Destroy: what a request becomes, and what is refused by field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cubelet.core.bindings import INVALID_BASE
from cubelet.core.faults import Code, CubeletError, Reason, error
from cubelet.core.model import State
from cubelet.core.spec import HttpHook, Resources
from cubelet.rpc.compat.create import spec_of
from cubelet.rpc.compat.manager import CubeboxMgr
from cubelet.rpc.native.specs import visible
from cubelet.services.cubebox.v1 import cubebox_pb2 as pb
from cubelet.services.images.v1 import images_pb2
from tests.unit.rpc.fakes import CountingIds, FakeAgent, make_snapshot

Spoil = Callable[[pb.RunCubeSandboxRequest], object]


def request(**more: Any) -> pb.RunCubeSandboxRequest:
    container = pb.ContainerConfig(
        name="main",
        image=images_pb2.ImageSpec(image="busybox"),
        command=["/bin/sh"],
        args=["-c", "sleep 1"],
        working_dir="/work",
        envs=[pb.KeyValue(key="A", value="1")],
        resources=pb.Resource(cpu="500m", mem="64Mi"),
    )
    return pb.RunCubeSandboxRequest(requestID="r-1", containers=[container], **more)


def with_hook(grace_ms: int, host: str) -> pb.RunCubeSandboxRequest:
    made = request()
    prestop = made.containers[0].prestop
    prestop.termination_grace_period_ms = grace_ms
    get = prestop.lifecyle_handler.http_get
    get.port, get.path = 8080, "/flush"
    get.http_headers.append(pb.HTTPHeader(name="X-Who", value="me"))
    if host:
        get.host = host
    return made


@pytest.fixture
def agent() -> FakeAgent:
    return FakeAgent()


@pytest.fixture
def manager(agent: FakeAgent) -> CubeboxMgr:
    return CubeboxMgr(agent, CountingIds())


def test_a_container_becomes_a_spec() -> None:
    asked = request(runtime_handler="runc", instance_type="cubebox")
    asked.labels["team"] = "red"
    asked.annotations["note"] = "n"
    spec = spec_of(asked)
    assert spec.runtime == "shimv2"
    assert spec.template == "busybox"
    assert spec.args == ("/bin/sh", "-c", "sleep 1")
    assert spec.env == {"A": "1"}
    assert spec.cwd == "/work"
    assert spec.resources == Resources(cpu_milli=500, memory_bytes=64 << 20)
    assert spec.labels == {"team": "red", "cube.product": "cubebox"}
    assert visible(spec) == {"note": "n"}


@pytest.mark.parametrize(("handler", "runtime"), [("", ""), ("cube", ""), ("process", "process")])
def test_names_of_runtimes(handler: str, runtime: str) -> None:
    assert spec_of(request(runtime_handler=handler)).runtime == runtime


def test_a_limit_wins_over_the_request() -> None:
    asked = request()
    asked.containers[0].resources.cpu_limit = "2"
    asked.containers[0].resources.mem_limit = "1Gi"
    assert spec_of(asked).resources == Resources(cpu_milli=2000, memory_bytes=1 << 30)


def test_a_prestop_hook() -> None:
    (hook,) = spec_of(with_hook(1500, "10.0.0.2")).prestop
    headers = {"X-Who": "me"}
    assert hook == HttpHook(
        host="10.0.0.2", port=8080, path="/flush", headers=headers, timeout_s=1.5
    )


@pytest.mark.parametrize(("grace_ms", "host"), [(0, "10.0.0.2"), (-1, "10.0.0.2"), (1500, "")])
def test_a_hook_without_time_or_host_is_skipped(grace_ms: int, host: str) -> None:
    assert spec_of(with_hook(grace_ms, host)).prestop == ()


def test_an_empty_message_asks_for_nothing() -> None:
    asked = request()
    asked.cube_network_config.SetInParent()
    assert spec_of(asked).args


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda r: r.ClearField("containers"), "has 0 entries: give exactly one"),
        (lambda r: r.containers.add(), "has 2 entries: give exactly one"),
        (lambda r: setattr(r.containers[0], "name", "a_b"), r"containers\[0\].name is 'a_b'"),
        (lambda r: setattr(r.containers[0], "name", ""), r"containers\[0\].name is ''"),
        (lambda r: setattr(r.containers[0], "name", "a" * 65), "name is 'aaaaaaaa"),
        (lambda r: setattr(r.containers[0], "name", "a\n"), r"name is 'a\\n'"),
        (lambda r: r.exposed_ports.extend([1, 2, 3, 4, 5]), "at most 4"),
        (lambda r: r.exposed_ports.append(0), "exposed_ports is 0: use a port"),
        (lambda r: r.exposed_ports.append(65536), "exposed_ports is 65536: use"),
        (lambda r: setattr(r.containers[0].resources, "cpu", ""), "resources.cpu is '': it is req"),
        (lambda r: r.containers[0].ClearField("resources"), "resources.cpu is '': it is required"),
        (lambda r: setattr(r.containers[0].resources, "mem", ""), "resources.mem is '': it is req"),
        (lambda r: setattr(r.containers[0].resources, "mem", "1Mib"), "resources.mem is '1Mib'"),
        (lambda r: setattr(r.containers[0].resources, "cpu_limit", "x"), "cpu_limit is 'x'"),
        (lambda r: setattr(r.containers[0], "working_dir", "work"), "cwd is 'work'"),
        (lambda r: setattr(r.containers[0].envs[0], "key", "A=B"), "env name is 'A=B'"),
        (lambda r: r.annotations.update({"cubelet.compat/image": "x"}), "is reserved"),
        (
            lambda r: r.labels.update({"cube.master.runtime.snapshot.id": "x"}),
            "label name is 'cube.master.runtime.snapshot.id': only the agent writes it",
        ),
        (
            lambda r: r.annotations.update({"cube.master.runtime.snapshot.id": INVALID_BASE}),
            "annotation cube.master.runtime.snapshot.id is 'invalid-runtime-restore-base'",
        ),
        (
            lambda r: r.annotations.update({"cube.master.appsnapshot.template.id": INVALID_BASE}),
            "annotation cube.master.appsnapshot.template.id is 'invalid-",
        ),
        (lambda r: r.volumes.add(name="v"), "volumes asks for: leave it out"),
        (lambda r: setattr(r.containers[0].security_context, "privileged", True), "security_cont"),
        (lambda r: r.cube_network_config.deny_out.append("*"), "cube_network_config asks for"),
    ],
)
async def test_what_is_refused(
    manager: CubeboxMgr, agent: FakeAgent, spoil: Spoil, text: str
) -> None:
    asked = request()
    spoil(asked)
    with pytest.raises(CubeletError, match=text):
        spec_of(asked)
    reply = await manager.Create(asked, None)
    assert (reply.ret.ret_code, agent.calls) == (130483, [])
    assert reply.ext_info["reason"] == b"BAD_REQUEST"


async def test_create_and_what_list_gives_back(manager: CubeboxMgr, agent: FakeAgent) -> None:
    asked = request(instance_type="cubebox", namespace="ns")
    asked.annotations["cube.master.desired.sandbox.id"] = "mine"
    reply = await manager.Create(asked, None)
    assert (reply.requestID, reply.ret.ret_code, reply.sandboxID) == ("r-1", 200, "mine")
    (item,) = (await manager.List(pb.ListCubeSandboxRequest(), None)).items
    (container,) = item.containers
    assert (item.id, item.namespace) == ("mine", "ns")
    assert item.labels == {"cube.product": "cubebox"}
    assert container.labels["io.kubernetes.cri.container-name"] == "main"
    assert container.image == "busybox"
    assert container.resources == pb.Resource(cpu="500m", mem="64Mi")


@pytest.mark.parametrize(
    ("named", "template", "snapshot"),
    [
        ("", "", ""),
        ("snap", "", "snap"),
        ("other", "snap", "other"),
        ("", "snap", "snap"),
        # What is no snapshot is a template that the master built elsewhere.
        ("", "unknown", ""),
    ],
)
async def test_what_a_sandbox_starts_from(
    manager: CubeboxMgr, agent: FakeAgent, named: str, template: str, snapshot: str
) -> None:
    agent.catalog.append(make_snapshot("snap"))
    asked = request()
    asked.annotations["cube.master.runtime.snapshot.id"] = named
    asked.annotations["cube.master.appsnapshot.template.id"] = template
    reply = await manager.Create(asked, None)
    assert agent.records[reply.sandboxID].spec.snapshot == snapshot


async def test_a_snapshot_with_a_path_in_its_name(manager: CubeboxMgr, agent: FakeAgent) -> None:
    asked = request()
    asked.annotations["cube.master.runtime.snapshot.id"] = "../snap"
    reply = await manager.Create(asked, None)
    assert (reply.ret.ret_code, agent.calls) == (130483, [])
    assert reply.ret.ret_msg.startswith("snapshot '../snap' is not an id")


async def test_every_change_has_its_request_id_as_key(
    manager: CubeboxMgr, agent: FakeAgent
) -> None:
    made = (await manager.Create(request(), None)).sandboxID
    for action in ("pause", "resume"):
        asked = pb.UpdateCubeSandboxRequest(requestID="r-1", sandboxID=made)
        asked.annotations["cube.master.update_action"] = action
        await manager.Update(asked, None)
    commit = pb.CommitSandboxRequest(requestID="r-1", sandboxID=made, templateID="t")
    await manager.CommitSandbox(commit, None)
    rollback = pb.RollbackSandboxRequest(requestID="r-1", sandboxID=made, snapshotID="t", new_gen=1)
    await manager.RollbackSandbox(rollback, None)
    destroy = pb.DestroyCubeSandboxRequest(requestID="r-1", sandboxID=made)
    await manager.Destroy(destroy, None)
    keys = [key.value if key else "" for key in agent.keys]
    assert keys == [
        "Create:r-1",
        *("Update.pause:r-1", "Update.resume:r-1"),
        *("CommitSandbox:r-1", "RollbackSandbox:r-1", "Destroy:r-1"),
    ]
    assert len({key.digest for key in agent.keys if key}) == 6


async def test_without_a_request_id_there_is_no_key(manager: CubeboxMgr, agent: FakeAgent) -> None:
    asked = request()
    asked.requestID = ""
    await manager.Create(asked, None)
    assert agent.keys == [None]


async def test_the_agent_makes_the_id(manager: CubeboxMgr, agent: FakeAgent) -> None:
    reply = await manager.Create(request(), None)
    assert agent.calls == [("create", "")]
    assert len(reply.sandboxID) == 32


@pytest.mark.parametrize(
    ("annotation", "namespace"), [("../x", ""), ("x" * 77, ""), ("", "a/b"), ("a\nb", "")]
)
async def test_one_id_grammar(
    manager: CubeboxMgr, agent: FakeAgent, annotation: str, namespace: str
) -> None:
    asked = request(namespace=namespace)
    asked.annotations["cube.master.desired.sandbox.id"] = annotation
    assert (await manager.Create(asked, None)).ret.ret_code == 130483
    assert agent.calls == []


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Reason.RUNTIME_REFUSED, 130507),
        (Reason.TEMPLATE_NOT_FOUND, 130456),
        (Reason.SANDBOX_EXISTS, 130409),
        (Reason.SNAPSHOT_NOT_FOUND, 130498),
        (Reason.SNAPSHOTS_UNSUPPORTED, 130568),
        (Reason.KEY_REUSED, 130483),
    ],
)
async def test_a_failed_create(
    manager: CubeboxMgr, agent: FakeAgent, reason: Reason, code: int
) -> None:
    agent.failures["create"] = error(Code.INTERNAL, reason, "no")
    reply = await manager.Create(request(), None)
    assert (reply.ret.ret_code, reply.ret.ret_msg, reply.sandboxID) == (code, "no", "")
    assert reply.ext_info["reason"] == reason.value.encode()


@pytest.mark.parametrize("state", State)
async def test_destroy_in_every_state(manager: CubeboxMgr, agent: FakeAgent, state: State) -> None:
    agent.add("s1", state)
    asked = pb.DestroyCubeSandboxRequest(requestID="r-2", sandboxID="s1")
    reply = await manager.Destroy(asked, None)
    assert (reply.requestID, reply.sandboxID, reply.ret.ret_code) == ("r-2", "s1", 200)
    assert agent.records == {}


@pytest.mark.parametrize(("sandbox_id", "code"), [("", 130483), ("../x", 130483), ("gone", 200)])
async def test_destroy_of_what_is_not_there(
    manager: CubeboxMgr, agent: FakeAgent, sandbox_id: str, code: int
) -> None:
    agent.add("gone-not")
    reply = await manager.Destroy(pb.DestroyCubeSandboxRequest(sandboxID=sandbox_id), None)
    assert reply.ret.ret_code == code
    assert list(agent.records) == ["gone-not"]


@pytest.mark.parametrize(
    ("failure", "code"),
    [(error(Code.INTERNAL, Reason.RUNTIME_REFUSED, "busy"), 130506), (RuntimeError("x"), -1)],
)
async def test_a_failed_destroy(
    manager: CubeboxMgr, agent: FakeAgent, failure: Exception, code: int
) -> None:
    agent.add("s1")
    agent.failures["delete"] = failure
    reply = await manager.Destroy(pb.DestroyCubeSandboxRequest(sandboxID="s1"), None)
    assert reply.HasField("ret")
    assert reply.ret.ret_code == code
