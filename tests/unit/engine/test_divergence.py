"""Shim and kernel disagree: it is shown, and mended where the trace is our own or on request."""

from __future__ import annotations

import asyncio

import pytest

from cubelet.core.conditions import ConditionKind, conditions
from cubelet.core.evidence import Contradicted, Status
from cubelet.core.faults import Reason
from cubelet.core.model import State
from cubelet.engine.engine import Engine
from cubelet.engine.ports import Capabilities
from tests.support.engine import (
    LoopClock,
    ToyRuntime,
    Tube,
    hangs,
    loses_connection,
    refuses,
    takes,
)
from tests.support.virtual_time import in_virtual_time
from tests.unit.engine.test_operations import fault_of, now_s, state_of

FROZEN = Contradicted(says=Status.RUNNING, frozen=True, pid=2)
THAWED = Contradicted(says=Status.PAUSED, frozen=False, pid=2)


def healing() -> Tube:
    return Tube(toy=ToyRuntime(capabilities=Capabilities(heals=True, second_witness=True)))


def shown(engine: Engine, tube: Tube) -> bool:
    (record,) = engine.view()
    found = conditions(record, LoopClock().now(), tube.policy)
    return ConditionKind.DIVERGED in {one.kind for one in found}


@in_virtual_time
async def test_a_strangers_freeze_is_shown_after_two_looks_and_touched_by_nobody() -> None:
    tube = healing()
    engine = await tube.running()
    tube.toy.evidence = FROZEN
    await asyncio.sleep(10)
    assert not shown(engine, tube)
    await asyncio.sleep(15)
    assert (shown(engine, tube), state_of(engine)) == (True, State.RUNNING)
    assert tube.store.entries[-1].detail.startswith("diverged: ")
    await asyncio.sleep(600)
    assert {"pause", "resume", "destroy", "heal by thawing"} & set(tube.toy.calls) == set()
    assert (await fault_of(engine.pause("sb"))).reason is Reason.DIVERGED
    tube.toy.evidence = None
    await asyncio.sleep(11)
    assert not shown(engine, tube)
    assert (await engine.pause("sb")).state is State.PAUSED
    await engine.close()


@in_virtual_time
async def test_repair_mends_a_strangers_freeze_and_a_delete_needs_no_repair() -> None:
    tube = healing()
    engine = await tube.running()
    tube.toy.evidence = FROZEN
    assert (await engine.repair("sb")).state is State.RUNNING
    assert tube.toy.calls[-2:] == ["state", "heal by thawing"]
    details = [entry.detail for entry in tube.store.entries[-2:]]
    assert "repair requested" in details[0]
    assert "put in agreement" in details[1]
    assert (await fault_of(engine.repair("sb"))).reason is Reason.NOT_DIVERGED
    tube.toy.evidence = FROZEN
    await engine.delete("sb")
    assert tube.store.records == {}
    await engine.close()


@in_virtual_time
async def test_a_second_repair_is_answered_too() -> None:
    tube = healing()
    engine = await tube.running()
    tube.toy.evidence = FROZEN
    tube.toy.plans.append(takes(3))
    first = asyncio.create_task(engine.repair("sb"))
    await asyncio.sleep(1)
    fault = await fault_of(engine.repair("sb"))
    assert (fault.retryable, now_s()) == (True, 1.0)
    assert (await first).state is State.RUNNING
    assert tube.toy.calls.count("heal by thawing") == 1
    await engine.close()


@in_virtual_time
async def test_a_failed_repair_says_why_and_the_condition_stays() -> None:
    tube = healing()
    engine = await tube.running()
    tube.toy.evidence = FROZEN
    await asyncio.sleep(25)
    tube.toy.plans.append(refuses("runc is busy"))
    assert "runc is busy" in (await fault_of(engine.repair("sb"))).message
    assert shown(engine, tube)
    await engine.close()


@in_virtual_time
async def test_a_repair_that_hangs_is_given_up_after_10_s() -> None:
    tube = healing()
    engine = await tube.running()
    tube.toy.evidence = FROZEN
    tube.toy.plans.append(hangs)
    assert (await fault_of(engine.repair("sb"))).reason is Reason.RUNTIME_DEADLINE
    assert now_s() == 10.0
    await engine.close()


@in_virtual_time
async def test_a_runtime_without_a_way_past_its_shim_says_so() -> None:
    tube = Tube()
    engine = await tube.running()
    assert (await fault_of(engine.repair("sb"))).reason is Reason.HEAL_UNSUPPORTED
    await engine.close()


@pytest.mark.parametrize(
    ("resumes", "seen", "heal", "state"),
    [
        (False, FROZEN, "heal by thawing", State.RUNNING),
        (True, THAWED, "heal by freezing", State.PAUSED),
    ],
)
@in_virtual_time
async def test_the_trace_of_our_own_lost_call_is_mended_by_itself(
    *, resumes: bool, seen: Contradicted, heal: str, state: State
) -> None:
    """Seen with runc's shim: its caller is gone, so it kills runc after the kernel did its part."""
    tube = healing()
    engine = await tube.running()
    if resumes:
        await engine.pause("sb")
    tube.toy.plans.append(loses_connection)
    tube.toy.evidence = seen
    await fault_of(engine.resume("sb") if resumes else engine.pause("sb"))
    await asyncio.sleep(40)
    assert tube.toy.calls.count(heal) == 1
    assert (state_of(engine), shown(engine, tube)) == (state, False)
    await engine.close()


@in_virtual_time
async def test_a_new_agent_mends_what_the_death_of_the_old_one_left() -> None:
    tube = healing()
    engine = await tube.running()
    tube.toy.plans.append(hangs)
    pause = asyncio.create_task(engine.pause("sb"))
    await asyncio.sleep(1)
    await engine.close()
    pause.cancel()
    tube.toy.evidence = FROZEN
    again = tube.restarted()
    engine = again.engine()
    await engine.start()
    await asyncio.sleep(40)
    assert "heal by thawing" in tube.toy.calls
    assert (state_of(engine), shown(engine, again)) == (State.RUNNING, False)
    assert any("our own trace" in entry.detail for entry in again.store.entries)
    await engine.close()


@in_virtual_time
async def test_what_cannot_be_mended_is_tried_three_times_then_only_shown() -> None:
    tube = healing()
    engine = await tube.running()
    tube.toy.plans.extend([loses_connection, *[refuses("runc is busy")] * 9])
    tube.toy.evidence = FROZEN
    await fault_of(engine.pause("sb"))
    await asyncio.sleep(300)
    assert tube.toy.calls.count("heal by thawing") == 3
    assert (state_of(engine), shown(engine, tube)) == (State.RUNNING, True)
    assert "destroy" not in tube.toy.calls
    await engine.close()
