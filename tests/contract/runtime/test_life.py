"""What every runtime does with a sandbox that nothing is wrong with."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace

import pytest

from cubelet.core.evidence import Alive, Ended, Status
from cubelet.core.faults import Reason
from cubelet.core.model import Call
from cubelet.engine.ports import CallFailed
from cubelet.runtime.kinds import FAKE, PROCESS
from tests.contract.runtime.rig import (
    Rig,
    alive,
    freezer_state,
    handle_of,
    is_container,
    processes,
    state,
    with_programs,
)


async def test_a_created_sandbox_runs_under_the_identities_of_its_handle(rig: Rig) -> None:
    record = await rig.counting()
    shim, init = processes(handle_of(record))
    assert shim.alive
    assert init.alive
    assert await state(rig.runtime, record) == alive(rig, record, Status.RUNNING)


async def test_our_own_shims_come_from_a_zygote(rig: Rig) -> None:
    await asyncio.gather(rig.created(), rig.created())
    starter = rig.runtime._starter
    assert (starter.forked, starter.fallbacks) == ((0, 0) if is_container(rig) else (2, 0))


@pytest.mark.parametrize("deaf_rig", [FAKE, PROCESS], indirect=True)
async def test_a_create_does_without_its_zygote(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.created()
    zygote = rig.runtime._starter._zygote
    assert zygote is not None
    os.kill(zygote.pid, signal.SIGSTOP)
    monkeypatch.setattr("shimclient.zygote.FORK_TIMEOUT_S", 0.1)
    record = await rig.created()
    assert rig.runtime._starter.fallbacks == 1
    await rig.runtime.pause(record)
    await rig.runtime.resume(record)
    assert isinstance(await state(rig.runtime, record), Alive)


async def test_a_paused_sandbox_stands_still_until_it_is_resumed(rig: Rig) -> None:
    record = await rig.counting()
    for cycle in range(3):
        await rig.runtime.pause(record)
        assert await rig.stands_still(record)
        paused = alive(rig, record, Status.PAUSED, generation=cycle)
        assert await state(rig.runtime, record) == paused
        if is_container(rig):
            assert freezer_state(rig, record) == "FROZEN"
        await rig.runtime.resume(record)
        assert await rig.goes_on(record)
        running = alive(rig, record, Status.RUNNING, generation=cycle + 1)
        assert await state(rig.runtime, record) == running


async def test_pauses_and_resumes_come_as_hints(rig: Rig) -> None:
    record = await rig.created()
    await rig.runtime.pause(record)
    await rig.hinted(record, "/tasks/paused")
    await rig.runtime.resume(record)
    await rig.hinted(record, "/tasks/resumed")


async def test_a_refused_call_is_over_and_changes_nothing(rig: Rig) -> None:
    record = await rig.created()
    with pytest.raises(CallFailed) as refused:
        await rig.runtime.resume(record)
    assert refused.value.call is Call.ANSWERED
    assert refused.value.fault.reason is Reason.RUNTIME_REFUSED
    assert "\n" not in refused.value.fault.message
    evidence = await state(rig.runtime, record)
    assert isinstance(evidence, Alive)
    assert evidence.status is Status.RUNNING


@with_programs
async def test_an_end_is_seen_with_its_code(rig: Rig) -> None:
    record = await rig.created("/bin/sh", "-c", "exit 42")
    await rig.hinted(record, "/tasks/exit")
    evidence = await state(rig.runtime, record)
    assert isinstance(evidence, Ended)
    assert evidence.exit_code == 42
    assert evidence.finished_at_ns > 1_700_000_000 * 10**9


@with_programs
async def test_what_cannot_be_started_fails_and_leaves_nothing(rig: Rig) -> None:
    record = rig.record("/no/such/program")
    with pytest.raises(CallFailed) as failure:
        await rig.runtime.create(record)
    assert failure.value.call is Call.ANSWERED
    assert "/no/such/program" in failure.value.fault.message
    await rig.runtime.destroy(record)
    assert rig.leftovers(record) == []


async def test_sandboxes_of_one_runtime_do_not_meet(rig: Rig) -> None:
    first, second = await asyncio.gather(rig.counting(), rig.counting())
    await rig.runtime.pause(first)
    assert await rig.goes_on(second)
    await rig.runtime.destroy(second)
    assert rig.leftovers(second) == []
    assert await rig.stands_still(first)
    assert isinstance(await state(rig.runtime, first), Alive)


async def test_an_agent_that_comes_after_drives_the_same_sandbox(rig: Rig) -> None:
    record = await rig.counting()
    await rig.runtime.pause(record)
    await rig.runtime.close()
    assert await rig.stands_still(record)
    after = rig.another()
    try:
        # Many ask at once while there is no connection yet.
        answers = await asyncio.gather(*(state(after, record) for _ in range(20)))
        paused = alive(rig, record, Status.PAUSED)
        assert answers == [paused] * 20
        await after.resume(record)
        assert await rig.goes_on(record)
        await after.destroy(record)
    finally:
        await after.close()
    assert rig.leftovers(record) == []


async def test_an_id_that_is_taken_stays_with_its_owner(rig: Rig) -> None:
    owner = await rig.counting()
    intruder = replace(owner, incarnation="other", handle=None)
    with pytest.raises(CallFailed) as failure:
        await rig.runtime.create(intruder)
    assert failure.value.fault.reason is Reason.SANDBOX_EXISTS
    connection = rig.runtime._links._links[owner.id]._shim
    await rig.runtime.destroy(intruder)  # As the engine undoes a create that failed.
    assert connection is not None
    assert not connection.client.closed
    assert await rig.goes_on(owner)


async def test_events_find_the_agent_that_comes_after(deaf_rig: Rig) -> None:
    async with deaf_rig.listening():
        record = await deaf_rig.created()
        await deaf_rig.runtime.pause(record)
        await deaf_rig.hinted(record, "/tasks/paused")
    async with deaf_rig.listening():
        await deaf_rig.runtime.resume(record)
        await deaf_rig.hinted(record, "/tasks/resumed")


async def test_a_sandbox_lives_and_ends_without_anybody_listening(deaf_rig: Rig) -> None:
    record = await deaf_rig.counting()
    await deaf_rig.runtime.pause(record)
    assert await deaf_rig.stands_still(record)
    await deaf_rig.runtime.destroy(record)
    assert deaf_rig.leftovers(record) == []
