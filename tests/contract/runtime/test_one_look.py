"""One look over the host for all runtimes of an agent."""

from __future__ import annotations

import asyncio
import threading

import pytest

from cubelet.runtime import orphanage
from cubelet.runtime.cgroups import Cgroup
from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.kinds import FAKE, PROCESS, SHIMV2
from cubelet.runtime.places import cgroups_of
from cubelet.runtime.registry import build_runtimes
from cubelet.runtime.sighting import Sighting
from cubelet.runtime.survey import survey
from tests.contract.runtime.rig import Rig, with_containers
from tests.support.polling import eventually


async def test_one_look_tells_each_runtime_what_is_its_own(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await rig.created()
    (rig.config.snapshots_dir / "one").mkdir(parents=True)
    looks: list[RuntimeConfig] = []

    def counted(config: RuntimeConfig) -> dict[str, Sighting]:
        looks.append(config)
        return survey(config)

    monkeypatch.setattr(orphanage, "survey", counted)
    runtimes = build_runtimes(rig.config)
    told = await asyncio.gather(*(runtime.traces() for runtime in runtimes.values()))
    found = {
        (name, trace.sandbox_id or trace.snapshot_id)
        for name, traces in zip(runtimes, told, strict=True)
        for trace in traces
    }
    assert found == {(rig.kind, record.id), (FAKE, "one")}
    assert len(looks) == 1
    for runtime in runtimes.values():
        await runtime.close()


async def test_what_is_of_a_runtime_that_cannot_be_used_is_told_by_another(rig: Rig) -> None:
    record = await rig.created()
    others = [name for name in (SHIMV2, PROCESS, FAKE) if name != rig.kind]
    shared = orphanage.Orphanage(rig.config, others)
    (trace,) = await shared.traces(others[0], ())
    assert (trace.sandbox_id, trace.runtime) == (record.id, rig.kind)
    assert await shared.traces(others[1], ()) == []
    await shared.clear(trace)
    assert rig.leftovers(record) == []


@with_containers
async def test_the_agents_own_control_group_goes_with_it_unless_sandboxes_are_left(
    rig: Rig,
) -> None:
    record = await rig.created()
    own = Cgroup(cgroups_of(rig.config.state_dir))
    await rig.runtime.close()
    assert own.exists
    after = rig.another()
    await after.destroy(record)
    assert own.exists
    await after.close()
    assert not own.exists


async def test_a_look_that_hangs_takes_one_thread(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that hangs must not take the threads that others need, however often it is asked."""

    go_on = threading.Event()
    looks = []

    def hang(config: object) -> dict[str, object]:
        looks.append(config)
        go_on.wait()
        return {}

    monkeypatch.setattr(orphanage, "survey", hang)
    asking = [asyncio.create_task(rig.runtime.traces())]
    await eventually(lambda: len(looks) == 1, what="the first look")
    for _ in range(5):
        asking.append(asyncio.create_task(rig.runtime.traces()))
        await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.wait(asking[:1])
    assert len(looks) == 1
    go_on.set()
    assert await asyncio.gather(*asking[1:]) == [[]] * 5
    assert len(looks) == 2
