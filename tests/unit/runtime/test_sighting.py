"""What is told of a sandbox that was seen; the contract suite has what is really there."""

from __future__ import annotations

from pathlib import Path

from cubelet.runtime.cgroups import Cgroup
from cubelet.runtime.identity import Identity
from cubelet.runtime.places import Place
from cubelet.runtime.processes import Member, ShimProcess
from cubelet.runtime.sighting import Sighting
from shimclient.skeleton.sockets import socket_name

AGENT = "/s/run/shims"


def seen(**found: object) -> Sighting:
    return Sighting("sb", Place(Path("/nowhere/sandboxes/sb")), **found)  # type: ignore[arg-type]


def shim(namespace: str) -> ShimProcess:
    return ShimProcess(Identity(7, 70), "sb", namespace, ("/usr/bin/shim", "-id", "sb"))


def test_what_lives_is_told_first_and_what_is_killed_by_its_name(tmp_path: Path) -> None:
    one = seen(
        bundle=True,
        mounts=["/nowhere/sandboxes/sb/rootfs"],
        group=Cgroup("/cubelet/a/sb", tmp_path),
        shims=[shim("ns")],
        members=[Member(Identity(8, 80), "sb", "sleep")],
    )
    one.finish(AGENT, Path("/run"), frozenset())
    assert one.lines == (
        "living shim, process 7 (shim)",
        "living process 8 (sleep)",
        "control group /cubelet/a/sb without processes",
        "mount /nowhere/sandboxes/sb/rootfs",
        "bundle /nowhere/sandboxes/sb",
    )
    assert (one.container, one.handle) == (True, None)


def test_a_thousand_mounts_are_not_a_thousand_lines() -> None:
    one = seen(mounts=[f"/m{number}" for number in range(1000)])
    one.finish(AGENT, Path("/run"), frozenset())
    assert (len(one.lines), one.lines[-1]) == (11, "990 more mounts")


def test_sockets_are_those_of_any_namespace_that_it_may_be_in_and_no_others() -> None:
    names = [socket_name(AGENT, namespace, "sb") for namespace in ("ns", "kept", "default")]
    others = [socket_name("/t/run/shims", "ns", "sb"), socket_name(AGENT, "ns", "sc"), "sb"]
    one = seen(shims=[shim("ns")], states=[Path("/s/runc/kept/sb")])
    one.finish(AGENT, Path("/run"), frozenset({*names, *others}))
    assert one.sockets == [Path("/run") / name for name in names]
    assert one.handle is not None
    assert one.handle.address == f"unix:///run/{names[0]}"
