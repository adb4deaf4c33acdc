"""Keys through the engine: one call, one answer, also across restarts and after a delete."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from cubelet.core.evidence import Status
from cubelet.core.faults import Reason
from cubelet.core.inputs import Expected
from cubelet.core.model import Key, State
from cubelet.engine.ports import StoreFailed
from tests.support.engine import SPEC, Tube, hangs, refuses, takes
from tests.support.virtual_time import in_virtual_time
from tests.unit.engine.test_operations import fault_of, state_of

KEY = Key(value="k", digest="d")
OTHER = replace(KEY, digest="another request")


@in_virtual_time
async def test_a_repeated_request_gets_the_same_answer_and_calls_nothing() -> None:
    tube = Tube()
    engine = await tube.running()
    first = await engine.pause("sb", key=KEY)
    await engine.resume("sb")
    assert await engine.pause("sb", key=KEY) == first
    assert (tube.toy.calls.count("pause"), state_of(engine)) == (1, State.RUNNING)
    await engine.close()


@in_virtual_time
async def test_a_key_of_another_request_is_refused() -> None:
    tube = Tube()
    engine = await tube.running()
    await engine.pause("sb", key=KEY)
    for ask in (engine.resume("sb", key=OTHER), engine.delete("sb", key=OTHER)):
        assert (await fault_of(ask)).reason is Reason.KEY_REUSED
    assert state_of(engine) is State.PAUSED
    await engine.close()


@in_virtual_time
async def test_never_silent_a_repeated_failure_is_a_failure() -> None:
    tube = Tube()
    engine = await tube.running()
    tube.toy.plans.append(refuses("runc said no", after=Status.PAUSED))
    first = await fault_of(engine.pause("sb", key=KEY))
    assert state_of(engine) is State.PAUSED
    assert await fault_of(engine.pause("sb", key=KEY)) == first
    again = tube.restarted()
    await engine.close()
    engine = again.engine()
    await engine.start()
    assert await fault_of(engine.pause("sb", key=KEY)) == first
    await engine.close()


@in_virtual_time
async def test_answers_outlive_the_agent_and_the_sandbox() -> None:
    tube = Tube()
    engine = await tube.running()
    first = await engine.pause("sb", key=KEY)
    gone = Key(value="gone", digest="g")
    await engine.delete("sb", key=gone)
    await engine.close()
    again = tube.restarted()
    engine = again.engine()
    await engine.start()
    assert await engine.pause("sb", key=KEY) == first
    await engine.delete("sb", key=gone)
    assert tube.toy.calls == ["create", "pause", "destroy"]
    unknown = Key(value="new", digest="n")
    for ask in (
        engine.delete("sb", key=unknown),
        engine.pause("sb", key=unknown),
        engine.pause("sb", key=OTHER),
        engine.delete("sb"),
    ):
        assert (await fault_of(ask)).reason is Reason.SANDBOX_NOT_FOUND
    await engine.close()


@in_virtual_time
async def test_a_repetition_during_the_call_waits_for_its_answer() -> None:
    tube = Tube()
    engine = await tube.running()
    tube.toy.plans.append(takes(3))
    first = asyncio.create_task(engine.pause("sb", key=KEY))
    await asyncio.sleep(1)
    second = asyncio.create_task(engine.pause("sb", key=KEY))
    other = asyncio.create_task(engine.pause("sb", key=Key(value="k2", digest="d2")))
    assert await first == await second == await other
    assert await engine.pause("sb", key=Key(value="k2", digest="d2")) == await first
    assert tube.toy.calls.count("pause") == 1
    await engine.close()


@in_virtual_time
async def test_a_failure_is_the_joiners_too() -> None:
    tube = Tube()
    engine = await tube.running()
    tube.toy.plans.append(hangs)
    tube.toy.silent = True
    first = asyncio.create_task(fault_of(engine.pause("sb")))
    await asyncio.sleep(29)
    joined = asyncio.create_task(fault_of(engine.pause("sb", key=KEY)))
    assert await first == await joined
    assert asyncio.get_running_loop().time() == 35.0
    assert await fault_of(engine.pause("sb", key=KEY)) == await first
    await engine.close()


@in_virtual_time
async def test_a_create_with_a_key_and_no_id_makes_one_sandbox() -> None:
    tube = Tube()
    engine = tube.engine()
    await engine.start()
    tube.toy.plans.append(takes(2))
    pair = [
        asyncio.create_task(engine.create(SPEC, sandbox_id="", namespace="", key=KEY))
        for _ in range(2)
    ]
    first, second = await asyncio.gather(*pair)
    assert first == second
    again = tube.restarted()
    await engine.close()
    engine = again.engine()
    await engine.start()
    assert await engine.create(SPEC, sandbox_id="", namespace="", key=KEY) == first
    assert tube.toy.calls.count("create") == 1
    fault = await fault_of(engine.create(SPEC, sandbox_id="", namespace="", key=OTHER))
    assert fault.reason is Reason.KEY_REUSED
    await engine.close()


@in_virtual_time
async def test_a_create_without_a_key_makes_another_one_each_time() -> None:
    tube = Tube()
    engine = tube.engine()
    await engine.start()
    ids = {(await engine.create(SPEC, sandbox_id="", namespace="")).id for _ in range(3)}
    assert len(ids) == 3
    await engine.close()


@in_virtual_time
async def test_a_repeated_create_is_answered_after_its_sandbox_is_gone() -> None:
    tube = Tube()
    engine = tube.engine()
    await engine.start()
    first = await engine.create(SPEC, sandbox_id="sb", namespace="", key=KEY)
    await engine.delete("sb")
    assert await engine.create(SPEC, sandbox_id="sb", namespace="", key=KEY) == first
    assert list(engine.view()) == []
    await engine.create(SPEC, sandbox_id="sb", namespace="")
    assert state_of(engine) is State.RUNNING
    await engine.close()


@in_virtual_time
async def test_a_key_that_was_cut_short_by_a_restart_gets_its_outcome_when_that_is_known() -> None:
    tube = Tube()
    engine = await tube.running()
    tube.toy.plans.append(hangs)
    pause = asyncio.create_task(engine.pause("sb", key=KEY))
    await asyncio.sleep(1)
    await engine.close()
    pause.cancel()
    tube.toy.status = Status.PAUSED
    again = tube.restarted()
    engine = again.engine()
    await engine.start()
    await asyncio.sleep(1)
    told = await engine.pause("sb", key=KEY)
    assert (told.state, tube.toy.calls.count("pause")) == (State.PAUSED, 1)
    await engine.close()


@in_virtual_time
async def test_a_key_that_cannot_be_looked_up_begins_nothing() -> None:
    tube = Tube()
    engine = await tube.running()
    outcome = tube.store.outcome

    async def broken(sandbox_id: str, key: str) -> None:
        raise StoreFailed("cannot read", cause="SQLITE_IOERR")

    tube.store.outcome = broken  # type: ignore[method-assign]
    assert (await fault_of(engine.pause("sb", key=KEY))).reason is Reason.STORE_FAILED
    create = engine.create(SPEC, sandbox_id="new", namespace="", key=KEY)
    assert (await fault_of(create)).reason is Reason.STORE_FAILED
    assert tube.toy.calls == ["create"]
    tube.store.outcome = outcome  # type: ignore[method-assign]
    assert (await engine.create(SPEC, sandbox_id="new", namespace="", key=KEY)).id == "new"
    await engine.close()


# --- preconditions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "reason"),
    [
        (Expected(state=State.RUNNING), None),
        (Expected(state=State.RUNNING, epoch=1), None),
        (Expected(state=State.PAUSED), Reason.UNEXPECTED_STATE),
        (Expected(epoch=2), Reason.STALE_EPOCH),
    ],
)
@in_virtual_time
async def test_a_decision_upon_an_older_view_is_refused(
    expected: Expected, reason: Reason | None
) -> None:
    tube = Tube()
    engine = await tube.running()
    if reason is None:
        assert (await engine.pause("sb", expected=expected)).state is State.PAUSED
    else:
        assert (await fault_of(engine.pause("sb", expected=expected))).reason is reason
        assert "pause" not in tube.toy.calls
    await engine.close()


@in_virtual_time
async def test_a_precondition_is_checked_in_turn_not_when_it_is_posted() -> None:
    """Of two decisions upon the same view only one is carried out (upstream's PR 1702)."""
    tube = Tube()
    engine = await tube.running()
    await engine.pause("sb")
    upon = Expected(epoch=2, state=State.PAUSED)
    twice = [asyncio.create_task(engine.resume("sb", expected=upon)) for _ in range(2)]
    results = await asyncio.gather(*twice, return_exceptions=True)
    assert sum(not isinstance(result, Exception) for result in results) == 1
    assert tube.toy.calls.count("resume") == 1
    await engine.close()
