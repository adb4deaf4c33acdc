"""Never blocked: a hung shim delays nobody else, nor its own sandbox's delete."""

from __future__ import annotations

import asyncio

from cubelet.core.evidence import Status
from cubelet.core.model import State
from cubelet.engine.lanes import QUESTIONS_MAX, SUSPECTS_MAX
from tests.support.engine import SPEC, Tube, hangs
from tests.support.rack import Rack
from tests.support.virtual_time import in_virtual_time
from tests.unit.engine.test_operations import fault_of, now_s, state_of

HUNG = [f"hung{number}" for number in range(200)]


@in_virtual_time
async def test_never_blocked_a_shim_that_answers_again_waits_behind_no_hung_ones() -> None:
    """200 overdue pauses fill the lane for suspects; the settle loop is not in that queue."""
    rack = Rack()
    tube = Tube(rack=rack)
    engine = tube.engine()
    await engine.start()
    for name in HUNG:
        await engine.create(SPEC, sandbox_id=name, namespace="")
        rack.toys[name].plans.append(hangs)
        rack.toys[name].silent = True
    pauses = [asyncio.create_task(engine.pause(name)) for name in HUNG]
    await asyncio.sleep(100)
    assert all(isinstance(task.exception(), Exception) for task in pauses)
    for name in (HUNG[7], HUNG[150]):
        rack.toys[name].awakes()
        began_s = now_s()
        await engine.get(name)  # The first answer that contradicts the pause, …
        assert (await engine.get(name)).state is State.RUNNING  # … and the second one.
        assert now_s() - began_s <= 5
    await engine.close()


@in_virtual_time
async def test_never_blocked_others_are_asked_in_their_turn_while_many_are_silent() -> None:
    rack = Rack()
    tube = Tube(rack=rack)
    engine = tube.engine()
    await engine.start()
    for name in ("good", *HUNG):
        await engine.create(SPEC, sandbox_id=name, namespace="")
        rack.toys[name].silent = name != "good"
    await asyncio.sleep(120)
    rack.toys["good"].status = Status.PAUSED
    await asyncio.sleep(10.1)
    assert state_of(engine, "good") is State.PAUSED
    began_s = now_s()
    await engine.resume("good")
    assert now_s() == began_s
    await engine.close()


@in_virtual_time
async def test_background_questions_have_a_limit_of_their_own() -> None:
    rack = Rack()
    tube = Tube(rack=rack)
    engine = tube.engine()
    await engine.start()
    for name in HUNG:
        await engine.create(SPEC, sandbox_id=name, namespace="")
        rack.toys[name].silent = True

    def asked() -> int:
        return sum(toy.calls.count("state") for toy in rack.toys.values())

    engine.relist("test")
    await asyncio.sleep(0.01)
    assert asked() == QUESTIONS_MAX
    await asyncio.sleep(60)
    before = asked()
    await asyncio.sleep(5)
    assert 0 < asked() - before <= SUSPECTS_MAX
    await engine.close()


@in_virtual_time
async def test_never_blocked_a_hung_sandbox_is_deleted_at_once() -> None:
    tube = Tube()
    engine = await tube.running()
    tube.toy.plans.append(hangs)
    tube.toy.silent = True
    await fault_of(engine.pause("sb"))
    began_s = now_s()
    await engine.delete("sb")
    assert (now_s(), list(engine.view())) == (began_s, [])
    await engine.close()
