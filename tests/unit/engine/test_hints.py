"""Events are hints: they make the engine look, and what it sees decides."""

from __future__ import annotations

import asyncio

import pytest

from cubelet.core.evidence import Ended, NoAnswer, Status
from cubelet.core.model import State
from tests.support.engine import ToyRuntime, Tube
from tests.support.virtual_time import run_virtual
from tests.unit.engine.test_operations import state_of


def test_a_hint_makes_the_engine_look_and_believe_the_shim_only() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        engine.hint("stranger")
        engine.hint("sb")
        await asyncio.sleep(1)
        assert state_of(engine) is State.RUNNING
        tube.toy.status = Status.PAUSED
        engine.hint("sb")
        await asyncio.sleep(1)
        assert state_of(engine) is State.PAUSED
        tube.toy.evidence = NoAnswer(why="UNKNOWN")
        engine.hint("sb")
        await asyncio.sleep(1)
        assert state_of(engine) is State.PAUSED
        tube.toy.evidence = Ended(exit_code=3, finished_at_ns=5)
        engine.hint("sb")
        await asyncio.sleep(1)
        record = tube.store.records["sb"]
        assert (record.state, record.exit_code) == (State.EXITED, 3)
        await engine.close()

    run_virtual(main())


def test_a_flood_of_hints_is_one_question() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        for _ in range(10_000):
            engine.hint("sb")
        await asyncio.sleep(1)
        assert tube.toy.calls == ["create", "state"]
        await engine.close()

    run_virtual(main())


def test_a_hint_during_a_call_is_followed_when_the_call_has_ended() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()

        async def exits_in_between(toy: ToyRuntime) -> None:
            await asyncio.sleep(1)
            engine.hint("sb")
            await asyncio.sleep(2)
            toy.evidence = Ended(exit_code=3, finished_at_ns=5)

        tube.toy.plans.append(exits_in_between)
        assert (await engine.pause("sb")).state is State.PAUSED
        await asyncio.sleep(1)
        assert state_of(engine) is State.EXITED
        assert tube.toy.calls == ["create", "pause", "state"]
        await engine.close()

    run_virtual(main())


def test_what_tells_us_what_we_know_makes_nobody_look() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        await engine.pause("sb")
        engine.hint("sb", told=State.PAUSED)
        engine.hint("sb", told=State.PAUSED)
        await asyncio.sleep(1)
        assert tube.toy.calls == ["create", "pause"]
        await engine.close()

    run_virtual(main())


@pytest.mark.parametrize(
    "told", [[State.RUNNING], [State.RUNNING, State.PAUSED], [State.PAUSED, None]]
)
def test_news_and_contradictions_make_us_look(told: list[State | None]) -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        await engine.pause("sb")
        for state in told:
            engine.hint("sb", told=state)
        await asyncio.sleep(1)
        assert tube.toy.calls == ["create", "pause", "state"]
        await engine.close()

    run_virtual(main())
