"""A store that refuses changes: it is shown, tried, and works again without anybody's help."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from cubelet.core.conditions import ConditionKind
from cubelet.core.faults import Code, Reason
from cubelet.core.model import State
from cubelet.engine.engine import Engine
from cubelet.engine.health import PROBE_S, RETAIN_S
from cubelet.engine.ports import StoreFailed
from tests.support.engine import SPEC, Tube, takes
from tests.support.rack import Rack
from tests.support.virtual_time import in_virtual_time
from tests.unit.engine.test_operations import fault_of, on_disk, state_of

FULL = StoreFailed("cannot write to /s/cubelet.db: full; free space", cause="SQLITE_FULL")
#: By when a store that works again is believed, with a moment for what was refused to be done.
HEALED_S = 2 * PROBE_S + 0.1


def shown(engine: Engine) -> list[str]:
    """The conditions of sandbox sb."""
    record = next(record for record in engine.view() if record.id == "sb")
    return [condition.kind for condition in engine.conditions(record)]


def told(logs: list[Any], event: str) -> int:
    return sum(line["event"] == event for line in logs)


@in_virtual_time
async def test_a_refused_change_is_shown_everywhere_and_reading_goes_on() -> None:
    tube = Tube()
    engine = await tube.running()
    assert (shown(engine), engine.status().conditions) == ([], ())
    await asyncio.sleep(1)
    tube.store.broken = FULL
    fault = await fault_of(engine.pause("sb"))
    assert (fault.code, fault.reason) == (Code.UNAVAILABLE, Reason.STORE_FAILED)
    assert fault.retryable
    (condition,) = engine.status().conditions
    assert condition.kind is ConditionKind.DEGRADED_STORE
    assert condition.since_ns == tube.clock.now().wall_ns
    assert condition.evidence == f"1 changes were refused, the last because: {FULL}"
    assert shown(engine) == ["DEGRADED_STORE"]
    assert (await engine.explain("sb")).conditions == (condition,)
    assert (await engine.get("sb")).state is State.RUNNING
    assert [entry.after for entry in await engine.journal("sb", limit=9)][-1] is State.RUNNING
    await engine.close()


@in_virtual_time
async def test_the_condition_goes_without_a_caller_and_without_a_restart() -> None:
    tube = Tube()
    engine = await tube.running()
    tube.store.broken = FULL
    await fault_of(engine.pause("sb"))
    await asyncio.sleep(100)
    assert shown(engine) == ["DEGRADED_STORE"]
    tube.store.broken = None
    await asyncio.sleep(HEALED_S)
    assert shown(engine) == []
    assert (await engine.pause("sb")).state is State.PAUSED
    await engine.close()


@in_virtual_time
async def test_a_store_is_tried_only_while_it_refuses_and_not_more_often_than_that() -> None:
    tube = Tube()
    engine = await tube.running()
    await asyncio.sleep(10 * PROBE_S)
    assert tube.store.probes == 0
    tube.store.broken = FULL
    await fault_of(engine.pause("sb"))
    await asyncio.sleep(10 * PROBE_S + 1)
    assert tube.store.probes == 10
    await engine.close()


@in_virtual_time
async def test_a_store_that_takes_only_some_changes_is_not_believed() -> None:
    """Something small may still fit where a change does not: the condition must not flicker."""
    tube = Tube()
    engine = await tube.running()
    tube.store.refuse = lambda number: FULL if number % 2 else None
    with capture_logs() as logs:
        for _ in range(20):
            await asyncio.gather(engine.pause("sb"), return_exceptions=True)
            await asyncio.gather(engine.resume("sb"), return_exceptions=True)
            await asyncio.sleep(1)
            assert shown(engine) == ["DEGRADED_STORE"]
    assert told(logs, "store_degraded") == 1
    await engine.close()


@in_virtual_time
async def test_an_outcome_that_could_not_be_written_is_settled_when_the_store_works_again() -> None:
    tube = Tube()
    engine = await tube.running()
    tube.toy.plans.append(takes(1))
    pause = asyncio.create_task(fault_of(engine.pause("sb")))
    await asyncio.sleep(0.5)
    tube.store.broken = FULL
    assert (await pause).reason is Reason.STORE_FAILED
    await asyncio.sleep(60)
    assert (state_of(engine), on_disk(tube)) == (State.PAUSING, State.PAUSING)
    assert tube.toy.calls.count("pause") == 1
    tube.store.broken = None
    await asyncio.sleep(HEALED_S)
    assert (state_of(engine), on_disk(tube)) == (State.PAUSED, State.PAUSED)
    assert tube.toy.calls.count("pause") == 1
    await engine.close()


@in_virtual_time
async def test_a_removal_that_could_not_be_written_ends_when_the_store_works_again() -> None:
    tube = Tube()
    engine = await tube.running()
    tube.store.refuse = lambda number: FULL if number == 4 else None  # The deletion is 3.
    assert (await fault_of(engine.delete("sb"))).reason is Reason.STORE_FAILED
    tube.store.broken = FULL
    await asyncio.sleep(60)
    assert (state_of(engine), on_disk(tube)) == (State.DELETED, State.DELETED)
    tube.store.broken = None
    await asyncio.sleep(HEALED_S)
    assert (list(engine.view()), tube.store.records) == ([], {})
    await engine.close()


@in_virtual_time
async def test_many_that_are_refused_neither_flood_the_log_nor_hammer_the_disk() -> None:
    names = [f"sb{number}" for number in range(200)]
    rack = Rack()
    tube = Tube(rack=rack)
    engine = tube.engine()
    await engine.start()
    await asyncio.gather(*(engine.create(SPEC, sandbox_id=name, namespace="") for name in names))
    for toy in rack.toys.values():
        toy.plans.append(takes(1))
    with capture_logs() as logs:
        pauses = [asyncio.create_task(fault_of(engine.pause(name))) for name in names]
        await asyncio.sleep(0.5)
        tube.store.broken = FULL
        faults = await asyncio.gather(*pauses)
        assert {fault.reason for fault in faults} == {Reason.STORE_FAILED}
        await asyncio.sleep(60)  # Until they ask as seldom as they ever do.
        before = tube.store.commits
        await asyncio.sleep(100)
        each = (tube.store.commits - before) / len(names)
        tube.store.broken = None
        await asyncio.sleep(HEALED_S)
    assert each <= 100 / 8 + 100 / 10  # Once in settle_max_s, less a fifth, and once a round.
    assert {record.state for record in engine.view()} == {State.PAUSED}
    lines = [line for line in logs if line["log_level"] != "debug"]
    degraded = 1 + 160 // int(RETAIN_S)
    assert told(lines, "store_degraded") == degraded
    assert told(lines, "store_works_again") == 1
    transitions = told(lines, "transition")
    assert len(lines) == degraded + 1 + transitions
    await engine.close()


@in_virtual_time
async def test_a_value_that_no_store_could_take_says_nothing_of_the_disk() -> None:
    tube = Tube()
    engine = await tube.running()
    tube.store.broken = StoreFailed("no such value", cause="OTHER", passing=False)
    with capture_logs() as logs:
        assert (await fault_of(engine.pause("sb"))).code is Code.INTERNAL
    assert shown(engine) == []
    assert engine.health.failures == {"OTHER": 1}
    assert told(logs, "change_not_written") == 1
    await engine.close()


@in_virtual_time
async def test_a_journal_that_cannot_be_read_does_not_keep_the_rest_from_being_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tube = Tube()
    engine = await tube.running()
    unread = StoreFailed("cannot read the journal in /s/cubelet.db", cause="SQLITE_IOERR")

    async def journal(sandbox_id: str, *, limit: int) -> None:
        raise unread

    monkeypatch.setattr(tube.store, "journal", journal)
    found = await engine.explain("sb")
    assert (found.record.state, found.journal) == (State.RUNNING, ())
    assert [(it.kind, it.evidence) for it in found.conditions] == [("DEGRADED_STORE", str(unread))]
    assert (await fault_of(engine.journal("sb", limit=9))) == unread.fault
    assert shown(engine) == []  # Changes are not refused.
    assert engine.health.failures == {"SQLITE_IOERR": 2}
    await engine.close()


@in_virtual_time
async def test_the_store_is_cleaned_once_a_minute_and_failing_at_it_hurts_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tube = Tube()
    cleaned: list[float] = []

    async def retain(now_ns: int) -> int:
        assert now_ns == tube.clock.now().wall_ns
        cleaned.append(asyncio.get_running_loop().time())
        if len(cleaned) == 2:
            raise FULL
        return 7

    monkeypatch.setattr(tube.store, "retain", retain)
    engine = await tube.running()
    await asyncio.sleep(RETAIN_S + 1)
    assert (cleaned, engine.health.retained) == ([RETAIN_S], 7)
    await asyncio.sleep(RETAIN_S)
    assert (len(cleaned), shown(engine)) == (2, ["DEGRADED_STORE"])
    await asyncio.sleep(RETAIN_S)
    assert (len(cleaned), engine.health.retained, shown(engine)) == (3, 14, [])
    await engine.close()


@in_virtual_time
async def test_the_node_says_how_much_there_is() -> None:
    tube = Tube()
    engine = await tube.running()
    await engine.create(SPEC, sandbox_id="other", namespace="")
    await engine.pause("other")
    await asyncio.sleep(1)
    status = engine.status()
    assert status.sandboxes == {State.RUNNING: 1, State.PAUSED: 1}
    assert (status.unreadable, status.relist_age_s) == ({}, 1.0)
    await engine.close()
