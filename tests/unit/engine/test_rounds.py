"""The round over all sandboxes: it finds what no event told, spread out, or all at once on need."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass

import pytest

from cubelet.core.evidence import Ended, Status
from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.inputs import Cause
from cubelet.core.model import Now, State
from cubelet.core.policy import Policy
from cubelet.engine.engine import Engine
from tests.support.engine import SPEC, LoopClock, Tube, hangs
from tests.support.rack import Rack
from tests.support.virtual_time import in_virtual_time
from tests.unit.engine.test_operations import fault_of, now_s, state_of


async def many(tube: Tube, count: int) -> Engine:
    engine = tube.engine()
    await engine.start()
    for number in range(count):
        await engine.create(SPEC, sandbox_id=f"sb{number}", namespace="")
    return engine


@pytest.mark.parametrize(
    ("status", "state"), [(Status.PAUSED, State.PAUSED), (Status.RUNNING, State.RUNNING)]
)
@in_virtual_time
async def test_a_strangers_pause_or_resume_is_seen_within_a_period(
    status: Status, state: State
) -> None:
    tube = Tube()
    engine = await tube.running()
    if status is Status.RUNNING:
        await engine.pause("sb")
    await asyncio.sleep(33.3)
    tube.toy.status = status
    await asyncio.sleep(10.001)
    assert state_of(engine) is state
    entry = tube.store.entries[-1]
    assert (entry.cause, entry.after) == (Cause.RELIST, state)
    await engine.close()


@in_virtual_time
async def test_an_end_that_nobody_told_of_is_seen_within_a_period() -> None:
    tube = Tube()
    engine = await tube.running()
    await engine.pause("sb")
    tube.toy.evidence = Ended(exit_code=137, finished_at_ns=5)
    await asyncio.sleep(10.001)
    assert state_of(engine) is State.EXITED
    await engine.close()


@in_virtual_time
async def test_every_sandbox_is_asked_once_a_period_and_not_all_together() -> None:
    rack = Rack()
    tube = Tube(rack=rack)
    engine = await many(tube, 100)
    await asyncio.sleep(95)
    moments = {moment for toy in rack.toys.values() for moment in toy.asked_s}
    together = max(sum(moment in toy.asked_s for toy in rack.toys.values()) for moment in moments)
    assert together <= 15
    for toy in rack.toys.values():
        gaps = [b - a for a, b in zip(toy.asked_s, toy.asked_s[1:], strict=False)]
        assert len(toy.asked_s) in {9, 10}
        assert max(gaps) == pytest.approx(10.0)
    await engine.close()


@in_virtual_time
async def test_a_sandbox_keeps_its_turn_whoever_comes_and_goes() -> None:
    rack = Rack()
    tube = Tube(rack=rack)
    engine = await many(tube, 60)
    for number in range(59):
        await asyncio.sleep(0.9)
        await engine.delete(f"sb{number}")
    times = rack.toys["sb59"].asked_s
    assert max(b - a for a, b in itertools.pairwise(times)) <= 10.001
    await engine.close()


@in_virtual_time
async def test_a_relist_asks_everybody_at_once() -> None:
    rack = Rack()
    tube = Tube(rack=rack, policy=Policy(relist_s=1000))
    engine = await many(tube, 30)
    await asyncio.sleep(0.01)
    before = {name: len(toy.asked_s) for name, toy in rack.toys.items()}
    engine.relist("a test")
    await asyncio.sleep(0.001)
    assert {name: len(toy.asked_s) for name, toy in rack.toys.items()} == {
        name: count + 1 for name, count in before.items()
    }
    assert engine.rounds.extra == 1
    await engine.close()


# --- the heartbeat --------------------------------------------------------------------------------


@dataclass
class JumpingClock(LoopClock):
    """The loop's clock, of which each half can be moved."""

    wall_s: float = 0.0
    mono_s: float = 0.0

    def now(self) -> Now:
        now = super().now()
        return Now(wall_ns=now.wall_ns + int(self.wall_s * 1e9), mono_s=now.mono_s + self.mono_s)


@pytest.mark.parametrize(
    ("wall_s", "mono_s", "extra"),
    [
        (0, 0, 0),
        (1.9, 0, 0),
        (-1.9, 0, 0),
        (2.1, 0, 1),
        (-2.1, 0, 1),
        (3.2e8, 0, 1),
        (-3.2e8, 0, 1),
        (1.5, 1.5, 0),
        (60, 60, 1),
        (0, 60, 1),
    ],
)
@in_virtual_time
async def test_a_jump_of_a_clock_is_a_reason_to_look_at_everybody(
    wall_s: float, mono_s: float, extra: int
) -> None:
    clock = JumpingClock()
    tube = Tube(clock=clock, policy=Policy(relist_s=1000))
    engine = await tube.running()
    await asyncio.sleep(5)
    asked = len(tube.toy.asked_s)
    clock.wall_s, clock.mono_s = wall_s, mono_s
    await asyncio.sleep(3)
    assert engine.rounds.extra == extra
    assert len(tube.toy.asked_s) - asked == extra
    await asyncio.sleep(20)
    assert engine.rounds.extra == extra
    await engine.close()


@pytest.mark.parametrize("wall_s", [-3.2e8, 3.2e8])
@in_virtual_time
async def test_a_jump_of_the_wall_clock_changes_no_duration(wall_s: float) -> None:
    clock = JumpingClock()
    tube = Tube(clock=clock)
    engine = await tube.running()
    tube.toy.plans.append(hangs)
    pause = asyncio.create_task(fault_of(engine.pause("sb")))
    await asyncio.sleep(1)
    clock.wall_s = wall_s
    await pause
    assert now_s() == 30.0
    await asyncio.sleep(28)
    assert state_of(engine) is State.PAUSING
    await asyncio.sleep(WORST_AFTER_STUCK_S)
    assert state_of(engine) is State.RUNNING
    await engine.close()


WORST_AFTER_STUCK_S = 18


# --- the loop itself ------------------------------------------------------------------------------


@in_virtual_time
async def test_a_loop_that_crashes_is_started_again_and_its_age_shows_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tube = Tube()
    engine = await tube.running()
    go_round = engine.rounds._go_round
    crashes = iter([True, True, False])

    async def crashing() -> None:
        if next(crashes, False):
            raise RuntimeError("a bug in the round")
        await go_round()

    await asyncio.sleep(5)
    monkeypatch.setattr(engine.rounds, "_go_round", crashing)
    await asyncio.sleep(6.5)
    assert engine.rounds.age_s == pytest.approx(1.5)
    tube.toy.status = Status.PAUSED
    await asyncio.sleep(12)
    assert state_of(engine) is State.PAUSED
    assert engine._supervisor.crashed == 2
    await engine.close()


@in_virtual_time
async def test_the_time_of_the_next_round_is_told() -> None:
    tube = Tube()
    engine = await tube.running()
    await asyncio.sleep(13)
    assert engine.rounds.next_in_s == pytest.approx(7.0)
    (first, *_) = (await engine.explain("sb")).next_steps
    assert first.in_s == pytest.approx(7.0)
    await engine.close()


# --- the sweeper ----------------------------------------------------------------------------------


@in_virtual_time
async def test_a_paused_one_is_asked_for_ever_and_touched_never() -> None:
    tube = Tube()
    engine = await tube.running()
    paused = await engine.pause("sb")
    await asyncio.sleep(20_000)
    (record,) = engine.view()
    assert (record.state, record.revision) == (State.PAUSED, paused.revision)
    assert set(tube.toy.calls) == {"create", "pause", "state"}
    assert 1_995 <= len(tube.toy.asked_s) <= 2_001
    await engine.close()


@in_virtual_time
async def test_a_call_in_flight_is_not_disturbed() -> None:
    tube = Tube()
    engine = await tube.running()
    tube.toy.plans.append(hangs)
    pause = asyncio.create_task(fault_of(engine.pause("sb")))
    asked = len(tube.toy.asked_s)
    await asyncio.sleep(29.9)
    assert len(tube.toy.asked_s) == asked
    await pause
    await engine.close()


@in_virtual_time
async def test_a_dead_record_goes_after_its_time_with_what_it_left() -> None:
    tube = Tube()
    engine = await tube.running()
    tube.toy.evidence = Ended(exit_code=0, finished_at_ns=5)
    engine.hint("sb")
    await asyncio.sleep(1)
    assert state_of(engine) is State.EXITED
    await asyncio.sleep(3590)
    assert (state_of(engine), "destroy" in tube.toy.calls) == (State.EXITED, False)
    await asyncio.sleep(20)
    assert (list(engine.view()), tube.store.records) == ([], {})
    assert tube.toy.calls.count("destroy") == 1
    await engine.close()


@in_virtual_time
async def test_a_removal_that_fails_is_tried_again_each_round_until_it_works() -> None:
    tube = Tube()
    engine = await tube.running()
    tube.toy.destroy_fault = Fault(
        code=Code.UNAVAILABLE, reason=Reason.RUNTIME_REFUSED, message="a mount is busy"
    )
    await fault_of(engine.delete("sb"))
    written = len(tube.store.changes)
    await asyncio.sleep(100)
    assert 10 <= tube.toy.calls.count("destroy") <= 12
    assert len(tube.store.changes) == written
    tube.toy.destroy_fault = None
    await asyncio.sleep(10.1)
    assert (list(engine.view()), tube.toy.alive) == ([], False)
    await engine.close()
