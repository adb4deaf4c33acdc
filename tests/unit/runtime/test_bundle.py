from __future__ import annotations

import json
from typing import Any

import pytest

from cubelet.core.spec import Resources, Spec
from cubelet.runtime.bundle import container_config, plain_config

SPEC = Spec(
    runtime="shimv2",
    template="mini",
    args=("/bin/sh", "-c", "true"),
    env={"A": "1", "B": "x=y"},
    cwd="/root",
    annotations={"io.containerd.runc.v2.group": "others", "mine/freezer": "auto"},
    resources=Resources(cpu_milli=1500, memory_bytes=64 << 20),
)


def container(spec: Spec = SPEC, *, hostname: str = "sb", version: int = 1) -> dict[str, Any]:
    return container_config(
        spec, hostname=hostname, cgroups_path="/cubelet/sb", cgroup_version=version
    )


def test_a_container_runs_what_was_asked() -> None:
    config = container()
    process = config["process"]
    assert process["args"] == ["/bin/sh", "-c", "true"]
    assert process["cwd"] == "/root"
    assert {"A=1", "B=x=y"} < set(process["env"])
    assert process["terminal"] is False
    assert config["ociVersion"] == "1.0.2"
    assert config["root"] == {"path": "rootfs", "readonly": False}
    assert config["linux"]["cgroupsPath"] == "/cubelet/sb"
    json.dumps(config)


def test_limits_are_those_of_the_spec_and_none_is_no_limit() -> None:
    resources = container()["linux"]["resources"]
    assert resources["cpu"] == {"quota": 150_000, "period": 100_000}
    assert resources["memory"] == {"limit": 64 << 20}
    unlimited = container(Spec(runtime="shimv2", args=("x",)))["linux"]["resources"]
    assert "cpu" not in unlimited
    assert "memory" not in unlimited


def test_a_tiny_share_of_a_cpu_is_the_least_that_the_kernel_takes() -> None:
    spec = Spec(runtime="shimv2", args=("x",), resources=Resources(cpu_milli=1))
    assert container(spec)["linux"]["resources"]["cpu"]["quota"] == 1000


def test_a_container_is_confined() -> None:
    config = container()
    kinds = {namespace["type"] for namespace in config["linux"]["namespaces"]}
    assert kinds == {"pid", "ipc", "uts", "mount", "network"}
    assert all("path" not in namespace for namespace in config["linux"]["namespaces"])
    assert config["process"]["noNewPrivileges"] is True
    assert "CAP_SYS_ADMIN" not in json.dumps(config["process"]["capabilities"])
    mounts = {mount["destination"]: mount for mount in config["mounts"]}
    assert set(mounts) == {"/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys"}  # noqa: S108
    assert "ro" in mounts["/sys"]["options"]
    assert config["linux"]["resources"]["devices"] == [{"allow": False, "access": "rwm"}]


def test_cgroup_v2_hides_the_hosts_groups() -> None:
    kinds = {one["type"] for one in container(version=2)["linux"]["namespaces"]}
    assert "cgroup" in kinds


def test_no_annotation_reaches_a_container_as_some_put_shims_together() -> None:
    assert "annotations" not in container()


@pytest.mark.parametrize("spec_path", ["", "/only/mine"])
def test_a_path_is_there_unless_the_spec_has_its_own(spec_path: str) -> None:
    env = {"PATH": spec_path} if spec_path else {}
    process = container(Spec(runtime="shimv2", args=("x",), env=env))["process"]
    paths = [entry for entry in process["env"] if entry.startswith("PATH=")]
    assert len(paths) == 1
    assert paths[0].endswith(spec_path or ":/bin")


def test_a_long_id_is_cut_to_what_a_host_name_may_be() -> None:
    name = container(hostname="a" * 62 + ".b" + "c" * 12)["hostname"]
    assert name == "a" * 62


def test_a_plain_process_begins_in_its_home_and_sees_its_shims_annotations_only() -> None:
    spec = Spec(runtime="process", args=("x",), annotations=SPEC.annotations)
    config = plain_config(spec, home="/state/home", annotation_prefix="mine/")
    assert config["process"]["cwd"] == "/state/home"
    assert config["annotations"] == {"mine/freezer": "auto"}
    assert plain_config(SPEC, home="/h", annotation_prefix="")["annotations"] == {}
    assert plain_config(SPEC, home="/h", annotation_prefix="")["process"]["cwd"] == "/root"
