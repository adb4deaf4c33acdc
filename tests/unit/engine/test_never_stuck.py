"""Never stuck: with every event lost, an open outcome is settled once the shim tells, in time.

Toy shims publish no event at all, so all that is found here is found by asking.
"""

from __future__ import annotations

import asyncio
import itertools

import pytest

from cubelet.core.evidence import NoAnswer, Status
from cubelet.core.faults import Reason
from cubelet.core.model import State
from cubelet.core.policy import Policy
from cubelet.engine.engine import Engine
from tests.support.engine import Tube, hangs, loses_connection, refuses, takes
from tests.support.virtual_time import in_virtual_time
from tests.unit.engine.test_operations import fault_of, now_s, on_disk, state_of

#: T_stuck, one period of the round, one question, and a second.
WORST_S = 60 + 10 + 5 + 1
OPEN = {State.PAUSING, State.RESUMING}


async def begun(tube: Tube, verb: str) -> tuple[Engine, float]:
    """A sandbox whose pause or resume has failed for its caller, and when that was asked for."""
    engine = await tube.running()
    if verb == "resume":
        await engine.pause("sb")
    began_s = now_s()
    tube.toy.plans.append(hangs)
    await fault_of(engine.pause("sb") if verb == "pause" else engine.resume("sb"))
    return engine, began_s


async def begun_late(tube: Tube, seconds: float) -> tuple[Engine, float]:
    """The same with a pause that does happen, but too late for its caller."""
    engine = await tube.running()
    tube.toy.plans.append(takes(seconds))
    fault = await fault_of(engine.pause("sb"))
    assert fault.reason is Reason.RUNTIME_DEADLINE
    return engine, now_s()


async def settled_after(engine: Engine, since_s: float, limit_s: float) -> float:
    """How long after `since_s` the outcome is known, to a tenth of a second."""
    while state_of(engine) in OPEN:
        assert now_s() - since_s <= limit_s, "stuck"
        await asyncio.sleep(0.1)
    return now_s() - since_s


@pytest.mark.parametrize(
    ("verb", "status", "state"),
    [
        ("pause", Status.RUNNING, State.RUNNING),
        ("pause", Status.PAUSED, State.PAUSED),
        ("resume", Status.PAUSED, State.PAUSED),
        ("resume", Status.RUNNING, State.RUNNING),
    ],
)
@in_virtual_time
async def test_never_stuck_by_a_call_that_never_returns(
    verb: str, status: Status, state: State
) -> None:
    tube = Tube()
    engine, began_s = await begun(tube, verb)
    tube.toy.status = status
    await settled_after(engine, began_s, WORST_S)
    assert (state_of(engine), on_disk(tube)) == (state, state)
    await engine.close()


@pytest.mark.parametrize("silent_s", [20, 55, 59, 61, 300, 5000])
@pytest.mark.parametrize("verb", ["pause", "resume"])
@in_virtual_time
async def test_never_stuck_by_a_shim_that_was_silent(verb: str, silent_s: float) -> None:
    tube = Tube()
    tube.toy.silent = True
    engine, began_s = await begun(tube, verb)
    await asyncio.sleep(max(0.0, began_s + silent_s - now_s()))
    assert state_of(engine) in OPEN
    tube.toy.awakes()
    answers_s = now_s()
    took_s = await settled_after(engine, max(answers_s, began_s + 60), WORST_S - 60)
    assert took_s <= 16
    await engine.close()


@pytest.mark.parametrize("verb", ["pause", "resume"])
@in_virtual_time
async def test_never_stuck_a_late_end_is_found_within_two_seconds_of_the_shims_answering(
    verb: str,
) -> None:
    """The question that hangs in the shim is answered when it can, and that is a hint."""
    tube = Tube()
    tube.toy.silent = True
    engine, _ = await begun(tube, verb)
    await asyncio.sleep(123.4)
    tube.toy.status = Status.PAUSED if verb == "pause" else Status.RUNNING
    tube.toy.awakes()
    assert await settled_after(engine, now_s(), 2) <= 0.2
    await engine.close()


@in_virtual_time
async def test_the_late_answer_of_a_question_that_hangs_settles_at_once() -> None:
    """No other question is under way then: without this one the settle loop's next would be it."""
    tube = Tube(policy=Policy(relist_s=1e6))
    tube.toy.silent = True
    engine, _ = await begun(tube, "pause")
    await asyncio.sleep(60)
    next_s = tube.toy.asked_s[-1] + 5 + 10
    await asyncio.sleep(next_s + 6 - now_s())
    assert tube.toy.asked_s[-1] == next_s
    tube.toy.status = Status.PAUSED
    tube.toy.awakes()
    assert await settled_after(engine, now_s(), 0.2) <= 0.1
    await engine.close()


@in_virtual_time
async def test_never_stuck_where_the_status_stays_unknown_it_is_asked_for_ever() -> None:
    tube = Tube()
    engine, _ = await begun(tube, "pause")
    tube.toy.evidence = NoAnswer(why="UNKNOWN")
    await asyncio.sleep(20_000)
    assert state_of(engine) is State.PAUSING
    assert now_s() - tube.toy.asked_s[-1] <= 10
    tube.toy.evidence = None
    tube.toy.status = Status.PAUSED
    assert await settled_after(engine, now_s(), 10) <= 10
    await engine.close()


@in_virtual_time
async def test_the_settle_loop_doubles_its_pauses_up_to_ten_seconds() -> None:
    tube = Tube(policy=Policy(relist_s=1e6, stuck_s=1e6))
    engine = await tube.running()
    tube.toy.plans.append(refuses("runc said no"))
    tube.toy.evidence = NoAnswer(why="UNKNOWN")
    await fault_of(engine.pause("sb"))
    before = len(tube.toy.asked_s)
    await asyncio.sleep(60)
    times = tube.toy.asked_s[before - 1 :]
    gaps = [round(later - earlier, 3) for earlier, later in itertools.pairwise(times)]
    assert gaps == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0, 10.0]
    await engine.close()


class Most:
    """The most that chance can give."""

    def fraction(self) -> float:
        return 1.0


@in_virtual_time
async def test_chance_shortens_a_pause_by_a_fifth_at_most_and_never_lengthens_it() -> None:
    tube = Tube(policy=Policy(relist_s=1e6, stuck_s=1e6), chance=Most())
    engine = await tube.running()
    tube.toy.plans.append(refuses("runc said no"))
    tube.toy.evidence = NoAnswer(why="UNKNOWN")
    await fault_of(engine.pause("sb"))
    await asyncio.sleep(2)
    times = tube.toy.asked_s
    gaps = [round(later - earlier, 3) for earlier, later in itertools.pairwise(times)]
    assert gaps[:3] == [0.2, 0.4, 0.8]
    await engine.close()


@in_virtual_time
async def test_the_settle_loop_ends_with_the_outcome() -> None:
    tube = Tube(policy=Policy(relist_s=1e6))
    engine = await tube.running()
    tube.toy.plans.append(loses_connection)
    await fault_of(engine.pause("sb"))
    await asyncio.sleep(30)
    assert state_of(engine) is State.RUNNING
    asked = len(tube.toy.asked_s)
    await asyncio.sleep(1000)
    assert len(tube.toy.asked_s) == asked
    await engine.close()


@in_virtual_time
async def test_never_stuck_a_call_that_returns_late_is_followed_at_once() -> None:
    tube = Tube()
    engine, _ = await begun_late(tube, 45)
    assert state_of(engine) is State.PAUSING
    await asyncio.sleep(15.1)
    assert (now_s(), state_of(engine)) == (45.1, State.PAUSED)
    await engine.close()


@in_virtual_time
async def test_a_request_after_the_outcome_is_settled_begins_anew() -> None:
    tube = Tube()
    engine = await tube.running()
    tube.toy.plans.append(takes(40))
    await fault_of(engine.pause("sb"))
    early = await fault_of(engine.resume("sb"))
    assert (early.reason, early.retryable) == (Reason.PAUSE_IN_PROGRESS, True)
    await asyncio.sleep(11)
    assert (await engine.resume("sb")).state is State.RUNNING
    await engine.close()
