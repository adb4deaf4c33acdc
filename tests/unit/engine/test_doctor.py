"""Orphans: what counts as one while sandboxes come and go, and what is done about it, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from cubelet.core.conditions import ConditionKind
from cubelet.core.faults import Code, CubeletError, Reason
from cubelet.core.model import State
from cubelet.core.node import Orphan
from cubelet.engine import doctor, look
from cubelet.engine.engine import Engine
from cubelet.engine.ports import Capabilities, Loaded, Trace
from tests.support.engine import SPEC, ToyRuntime, Tube, hangs, refuses, takes
from tests.support.stores import RecordingStore
from tests.support.virtual_time import in_virtual_time
from tests.unit.engine.test_operations import fault_of, now_s, state_of


@dataclass
class Looking(ToyRuntime):
    """A toy on a host on which a look takes its time: `meanwhile` happens in the middle of it."""

    meanwhile: Callable[[], Awaitable[object]] | None = None
    looks: list[float] = field(default_factory=list)

    async def traces(self, but: Collection[str] = frozenset()) -> Sequence[Trace]:
        self.looks.append(now_s())
        seen = await super().traces(but)
        if self.meanwhile is not None:
            await self.meanwhile()
        return seen


def trace(sandbox_id: str = "lost", *, snapshot_id: str = "") -> Trace:
    what = (f"bundle /s/{sandbox_id or snapshot_id}",)
    return Trace(sandbox_id=sandbox_id, runtime="toy", what=what, snapshot_id=snapshot_id)


def snapshot(snapshot_id: str) -> Trace:
    return trace("", snapshot_id=snapshot_id)


def orphan(sandbox_id: str = "lost", *, removed: bool = False, failure: str = "") -> Orphan:
    return Orphan(
        sandbox_id=sandbox_id,
        runtime="toy",
        found=trace(sandbox_id).what,
        removed=removed,
        failure=failure,
    )


async def started(tube: Tube, *traces: Trace, remove: bool = False) -> Engine:
    tube.toy.left += traces
    engine = tube.engine()
    await engine.start(remove_orphans=remove)
    return engine


def looking(**capabilities: bool) -> tuple[Tube, Looking]:
    toy = Looking(capabilities=Capabilities(**capabilities))
    return Tube(toy=toy), toy


async def found(engine: Engine) -> list[str]:
    """The names of the orphans."""
    diagnosis = await engine.doctor(fix=False)
    return [one.sandbox_id or one.found[0] for one in diagnosis.orphans]


def shown(engine: Engine) -> list[tuple[ConditionKind, str]]:
    return [(one.kind, one.evidence) for one in engine.status().conditions]


@in_virtual_time
async def test_they_are_found_at_start_told_and_left_alone() -> None:
    tube = Tube()
    engine = await started(tube, trace("b"), trace("a"), snapshot("one"))
    with capture_logs() as logs:
        await asyncio.sleep(10.001)
    assert [line["sandbox"] for line in logs if line["event"] == "orphan"] == ["", "a", "b"]
    evidence = "3 left by sandboxes that no record owns; see `cubecli doctor`"
    assert shown(engine) == [(ConditionKind.ORPHANS, evidence)]
    assert engine.status().conditions[0].since_ns == tube.clock.now().wall_ns - 1_000_000
    assert not [call for call in tube.toy.calls if call.startswith("clear")]
    await engine.close()


@in_virtual_time
async def test_they_are_removed_at_start_where_that_is_configured_but_no_snapshot_is() -> None:
    tube = Tube()
    engine = await started(tube, trace("a"), snapshot("one"), remove=True)
    await asyncio.sleep(10.001)
    assert tube.toy.calls == ["clear a"]
    assert [evidence.split()[0] for _, evidence in shown(engine)] == ["1"]
    await engine.close()


@in_virtual_time
async def test_a_look_changes_nothing_and_a_fix_removes_all() -> None:
    tube = Tube()
    engine = await started(tube, trace("lost"), snapshot("one"))
    assert (await engine.doctor(fix=False)).orphans[1] == orphan("lost")
    assert tube.toy.calls == []
    fixed = await engine.doctor(fix=True)
    assert fixed.orphans[1] == orphan("lost", removed=True)
    assert sorted(tube.toy.calls) == ["clear lost", "clear one"]
    assert (await engine.doctor(fix=True)).orphans == ()
    assert shown(engine) == []
    await engine.close()


@in_virtual_time
async def test_what_somebody_owns_is_no_orphan() -> None:
    tube, toy = looking(snapshots=True)
    engine = await tube.running()
    await engine.commit("sb", snapshot_id="kept")
    toy.left = [trace("sb"), snapshot("kept"), trace("other")]
    assert await found(engine) == ["other"]
    await engine.close()


@in_virtual_time
async def test_what_was_owned_at_the_beginning_of_a_look_or_at_its_end_is_no_orphan() -> None:
    tube, toy = looking()
    engine = await tube.running("old")
    toy.left = [trace("old"), trace("new"), trace("brief")]

    async def meanwhile() -> None:
        await engine.delete("old")
        await engine.create(SPEC, sandbox_id="new", namespace="")
        await engine.create(SPEC, sandbox_id="brief", namespace="")
        await engine.delete("brief")

    toy.meanwhile = meanwhile
    assert await found(engine) == []
    toy.meanwhile = None
    assert await found(engine) == ["brief", "old"]
    await engine.close()


@in_virtual_time
async def test_a_snapshot_that_is_being_taken_is_no_orphan() -> None:
    tube, toy = looking(snapshots=True)
    engine = await tube.running()
    toy.plans.append(takes(5))
    toy.left = [snapshot("coming")]
    taking = asyncio.create_task(engine.commit("sb", snapshot_id="coming"))
    await asyncio.sleep(1)
    assert await found(engine) == []
    await taking
    assert await found(engine) == []
    await engine.close()


@in_virtual_time
async def test_a_snapshot_that_was_taken_or_given_up_during_the_look_is_no_orphan() -> None:
    tube, toy = looking(snapshots=True)
    engine = await tube.running()
    toy.left = [snapshot("taken"), snapshot("given-up")]

    async def give_up() -> None:
        await takes(5)(toy)
        await refuses("no room")(toy)

    toy.plans.append(lambda _: give_up())
    giving_up = asyncio.create_task(engine.commit("sb", snapshot_id="given-up"))
    await asyncio.sleep(1)

    async def meanwhile() -> None:
        await asyncio.wait({giving_up})
        await engine.commit("sb", snapshot_id="taken")

    toy.meanwhile = meanwhile
    assert await found(engine) == []
    assert isinstance(giving_up.exception(), CubeletError)
    toy.meanwhile = None
    assert await found(engine) == ["bundle /s/given-up"]
    await engine.close()


@in_virtual_time
async def test_a_snapshot_that_was_taken_since_the_look_is_left_alone() -> None:
    tube, toy = looking(snapshots=True)
    engine = await tube.running()
    before = [snapshot(f"a{number}") for number in range(doctor.REMOVALS_MAX)]
    toy.left = [*before, snapshot("one")]
    toy.plans.extend([takes(2)] * doctor.REMOVALS_MAX)
    fixing = asyncio.create_task(engine.doctor(fix=True))
    await asyncio.sleep(1)
    await engine.commit("sb", snapshot_id="one")
    assert (await fixing).orphans[-1].failure == "somebody owns it by now"
    assert "clear one" not in toy.calls
    await engine.close()


@in_virtual_time
async def test_what_belongs_to_a_record_that_cannot_be_read_is_no_orphan() -> None:
    tube = Tube(store=RecordingStore(Loaded(unreadable={"hurt": "it is no JSON"})))
    engine = await started(tube, trace("hurt"), trace("lost"))
    assert await found(engine) == ["lost"]
    await engine.close()


@in_virtual_time
async def test_of_a_lost_store_only_what_nothing_can_be_asked_about_is_an_orphan() -> None:
    tube = Tube(store=RecordingStore(Loaded(incomplete="there was no file")))
    engine = await started(tube, trace("mute"), snapshot("one"), remove=True)
    await asyncio.sleep(11)
    assert tube.toy.calls == [], "only people can tell whether a copy is to be put back"
    assert await found(engine) == ["bundle /s/one", "mute"]
    fixed = await engine.doctor(fix=True)
    assert [one.removed for one in fixed.orphans] == [True, True]
    assert sorted(tube.toy.calls) == ["clear mute", "clear one"]
    await engine.close()


@in_virtual_time
async def test_one_that_cannot_be_removed_is_told_and_stops_no_other() -> None:
    tube = Tube()

    async def breaks(_: ToyRuntime) -> None:
        raise ZeroDivisionError

    tube.toy.plans.extend([refuses("device or resource busy"), hangs, breaks])
    engine = await started(tube, trace("a"), trace("b"), trace("c"), trace("d"))
    fixed = await engine.doctor(fix=True)
    assert fixed.orphans == (
        orphan("a", failure="device or resource busy"),
        orphan("b", failure="it took longer than 30 s"),
        orphan("c", failure="the adapter of runtime toy broke (ZeroDivisionError)"),
        orphan("d", removed=True),
    )
    assert now_s() == doctor.CLEAR_TIMEOUT_S
    assert [evidence.split()[0] for _, evidence in shown(engine)] == ["3"]
    await engine.close()


@in_virtual_time
async def test_a_fix_ends_within_a_minute_however_much_hangs() -> None:
    tube = Tube()
    tube.toy.plans.extend([hangs] * 100)
    names = [f"o{number:02}" for number in range(20)]
    engine = await started(tube, *map(trace, names))
    fixed = await engine.doctor(fix=True)
    assert now_s() == doctor.CLEAR_TIMEOUT_S
    told = [one.failure for one in fixed.orphans]
    assert told.count("it took longer than 30 s") == doctor.REMOVALS_MAX
    assert told.count("not tried, as the others took too long") == 20 - doctor.REMOVALS_MAX
    await engine.close()


@in_virtual_time
async def test_more_than_can_be_told_are_counted_and_left_for_the_next_time() -> None:
    tube = Tube()
    count = doctor.ORPHANS_MAX + 5
    engine = await started(tube, *(trace(f"o{number:04}") for number in range(count)))
    fixed = await engine.doctor(fix=True)
    assert (len(fixed.orphans), fixed.more) == (doctor.ORPHANS_MAX, 5)
    assert [evidence.split()[0] for _, evidence in shown(engine)] == ["5"]
    assert await found(engine) == [f"o{number:04}" for number in range(count - 5, count)]
    await engine.close()


@in_virtual_time
async def test_nobody_takes_the_id_while_what_was_left_is_removed() -> None:
    tube = Tube()
    tube.toy.plans.append(takes(5))
    engine = await started(tube, trace("lost"))
    fixing = asyncio.create_task(engine.doctor(fix=True))
    await asyncio.sleep(1)
    fault = await fault_of(engine.create(SPEC, sandbox_id="lost", namespace=""))
    assert (fault.code, fault.retryable) == (Code.ABORTED, True)
    assert tube.toy.calls == ["clear lost"]
    await fixing
    await engine.create(SPEC, sandbox_id="lost", namespace="")
    assert state_of(engine, "lost") is State.RUNNING
    await engine.close()


@in_virtual_time
async def test_what_somebody_has_begun_to_own_since_the_look_is_left_alone() -> None:
    tube = Tube()
    tube.toy.plans.extend([takes(2)] * doctor.REMOVALS_MAX)
    names = [f"o{number}" for number in range(doctor.REMOVALS_MAX)]
    engine = await started(tube, *map(trace, names), trace("taken"))
    fixing = asyncio.create_task(engine.doctor(fix=True))
    await asyncio.sleep(1)
    await engine.create(SPEC, sandbox_id="taken", namespace="")
    assert (await fixing).orphans[-1] == orphan("taken", failure="somebody owns it by now")
    assert "clear taken" not in tube.toy.calls
    await engine.close()


@in_virtual_time
async def test_a_fix_goes_on_when_its_caller_leaves() -> None:
    tube = Tube()
    tube.toy.plans.append(takes(5))
    engine = await started(tube, trace("lost"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await engine.doctor(fix=True)
    await asyncio.sleep(5)
    assert tube.toy.left == []
    await engine.close()


@in_virtual_time
async def test_one_look_at_a_time() -> None:
    tube, toy = looking()
    toy.meanwhile = lambda: asyncio.sleep(3)
    engine = await started(tube)
    await asyncio.gather(*(engine.doctor(fix=False) for _ in range(3)))
    assert toy.looks == [0.0, 3.0, 6.0]
    await engine.close()


@in_virtual_time
async def test_a_host_that_cannot_be_looked_over_is_an_error_and_no_absence_of_orphans() -> None:
    tube, toy = looking()
    engine = await started(tube, trace("lost"))
    assert await found(engine) == ["lost"]
    toy.meanwhile = asyncio.Event().wait
    fault = await fault_of(engine.doctor(fix=True))
    assert (fault.code, fault.reason) == (Code.UNAVAILABLE, Reason.RUNTIME_UNREACHABLE)
    assert now_s() == look.LOOK_TIMEOUT_S
    assert len(shown(engine)) == 1

    async def broken() -> None:
        raise PermissionError(13, "no permission", "/s/sandboxes")

    toy.meanwhile = broken
    fault = await fault_of(engine.doctor(fix=True))
    assert "/s/sandboxes" in fault.message
    assert toy.calls == []
    await engine.close()


@in_virtual_time
async def test_nothing_is_removed_while_the_agent_shuts_down() -> None:
    tube = Tube()
    engine = await started(tube, trace("lost"))
    await engine.drain(1)
    assert (await fault_of(engine.doctor(fix=True))).reason is Reason.SHUTTING_DOWN
    assert await found(engine) == ["lost"]
    await engine.close()


@in_virtual_time
async def test_an_end_of_the_agent_ends_a_look_that_hangs() -> None:
    tube, toy = looking()
    toy.meanwhile = asyncio.Event().wait
    engine = await started(tube)
    asking = asyncio.create_task(engine.doctor(fix=False))
    await asyncio.sleep(1)
    await engine.close()
    await asyncio.wait({asking})
    assert asking.cancelled()


@in_virtual_time
async def test_a_look_at_start_that_cannot_be_made_is_made_later() -> None:
    tube, toy = looking()
    toy.meanwhile = asyncio.Event().wait
    engine = await started(tube, trace("lost"))
    await asyncio.sleep(10 + look.LOOK_TIMEOUT_S + 9)
    assert shown(engine) == []
    toy.meanwhile = None
    await asyncio.sleep(1.001)
    assert len(shown(engine)) == 1
    await engine.close()
