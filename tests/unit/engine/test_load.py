"""Many at once: nothing is left over, whatever the order, and one id has one worker."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
import structlog

from cubelet.core.faults import CubeletError, Reason
from cubelet.core.model import State
from cubelet.engine.engine import Engine
from cubelet.engine.ports import Capabilities
from tests.support.engine import SPEC, Tube, hangs, loses_connection, refuses, takes
from tests.support.rack import Rack
from tests.support.virtual_time import in_virtual_time, run_virtual
from tests.unit.engine.test_operations import fault_of, now_s
from tests.unit.engine.test_store_loop import check_journal, check_visible

SANDBOXES = 1_000
OPERATIONS = 10_000
LOOPS = {"rounds", "heartbeat", "health"}


def tasks(engine: Engine) -> set[str]:
    """The names of what runs, but for the workers, which live as long as their sandboxes."""
    names = {task.get_name() for task in engine._supervisor._tasks}
    return {name for name in names if not name.startswith("worker-")}


@pytest.mark.timeout(120)
def test_ten_thousand_operations_in_flight_end_and_leave_nothing() -> None:
    with structlog.testing.capture_logs():  # To write a line for each takes longer than all else.
        run_virtual(ten_thousand_operations())


async def ten_thousand_operations() -> None:
    chance = random.Random(3)  # noqa: S311 - the same disorder each time.
    rack = Rack(capabilities=Capabilities(snapshots=True, opaque_restore=True))
    tube = Tube(rack=rack)
    engine = tube.engine()
    await engine.start()
    names = [f"sb{number}" for number in range(SANDBOXES)]
    await asyncio.gather(*(engine.create(SPEC, sandbox_id=name, namespace="") for name in names))
    plans = [takes(0.5), takes(5), takes(33), hangs, loses_connection, refuses("no")]

    async def ask(number: int) -> None:
        name = names[number % SANDBOXES]
        rack.toys[name].plans.append(chance.choice(plans))
        verbs: list[Callable[[], Awaitable[object]]] = [
            lambda: engine.pause(name),
            lambda: engine.resume(name),
            lambda: engine.get(name),
            lambda: engine.commit(name, snapshot_id=f"snap{number}"),
        ]
        (verb,) = chance.choices(verbs, weights=[5, 5, 1, 2])
        await verb()

    results = await asyncio.gather(
        *(ask(number) for number in range(OPERATIONS)), return_exceptions=True
    )
    wrong = [one for one in results if one and not isinstance(one, CubeletError)]
    assert (len(results), wrong) == (OPERATIONS, [])
    bugs = [one for one in results if isinstance(one, CubeletError)]
    assert Reason.BUG not in {one.fault.reason for one in bugs}
    for toy in rack.toys.values():
        toy.plans.clear()
    await asyncio.sleep(200)
    assert {record.state for record in engine.view()} <= {State.RUNNING, State.PAUSED}
    check_visible(tube, engine, "the calm")
    check_journal(tube.store.entries)
    began_s = now_s()
    await asyncio.gather(*(engine.delete(name) for name in names))
    assert (now_s(), len(engine.view())) == (began_s, 0)
    await asyncio.sleep(0.001)
    assert {task for task in tasks(engine) if not task.startswith("CallRuntime")} == LOOPS
    await engine.close()
    assert not engine._supervisor._tasks
    assert engine._supervisor.crashed == 0


@in_virtual_time
async def test_a_create_that_meets_the_end_of_the_one_before_makes_a_whole_sandbox() -> None:
    """The old worker has it in its inbox while it forgets; the new record must be its own still."""
    for delay_s in (0.0, 0.05, 0.1, 0.15, 0.2, 0.25):
        tube = Tube()
        tube.store.takes_s = 0.1
        engine = await tube.running()
        delete = asyncio.create_task(engine.delete("sb"))
        await asyncio.sleep(delay_s)
        create = asyncio.create_task(engine.create(SPEC, sandbox_id="sb", namespace=""))
        await asyncio.gather(delete, create, return_exceptions=True)
        await asyncio.sleep(1)
        if create.exception() is None:
            assert (await engine.pause("sb")).state is State.PAUSED
            assert len(list(engine.view())) == 1
        await engine.close()


@in_virtual_time
async def test_drain_ends_while_settle_loops_go_on() -> None:
    rack = Rack()
    tube = Tube(rack=rack)
    engine = tube.engine()
    await engine.start()
    for number in range(20):
        name = f"sb{number}"
        await engine.create(SPEC, sandbox_id=name, namespace="")
        rack.toys[name].plans.append(loses_connection)
        rack.toys[name].silent = number % 2 == 0
    asks = [asyncio.create_task(fault_of(engine.pause(f"sb{number}"))) for number in range(20)]
    await asyncio.gather(*asks)
    began_s = now_s()
    assert await engine.drain(36) == 0
    assert now_s() - began_s < 1
    await engine.close()
    assert {record.state for record in tube.store.records.values()} == {State.PAUSING}
    again = tube.restarted()
    for toy in rack.toys.values():
        toy.awakes()
    engine = again.engine()
    await engine.start()
    await asyncio.sleep(30)
    assert {record.state for record in engine.view()} == {State.RUNNING}
    await engine.close()
