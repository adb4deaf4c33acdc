"""Never wrong base: what a commit builds on, after each way in which a base becomes wrong."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from cubelet.core.bindings import INVALID_BASE, Mode
from cubelet.core.evidence import Status
from cubelet.core.faults import Reason
from cubelet.core.model import State
from cubelet.engine.ports import Capabilities, Loaded
from tests.support.engine import SPEC, ToyRuntime, Tube, hangs, loses_connection, refuses, takes
from tests.support.stores import RecordingStore
from tests.support.virtual_time import in_virtual_time
from tests.unit.engine.test_operations import fault_of, state_of

RESTORES = Capabilities(opaque_restore=True, snapshots=True)


def restoring() -> Tube:
    return Tube(toy=ToyRuntime(capabilities=RESTORES))


def commits(tube: Tube) -> list[str]:
    return [call.removeprefix("commit ") for call in tube.toy.calls if call.startswith("commit")]


@in_virtual_time
async def test_a_commit_builds_upon_the_one_before_and_enters_the_catalog() -> None:
    tube = restoring()
    engine = await tube.running()
    _, first = await engine.commit("sb", snapshot_id="one")
    record, second = await engine.commit("sb", snapshot_id="two")
    assert commits(tube) == ["one full", "two soft-dirty one"]
    assert (first.mode, second.mode, second.base_id) == (Mode.FULL, Mode.SOFT_DIRTY, "one")
    assert list(engine.snapshots()) == [first, second]
    assert (record.state, record.bindings.runtime.snapshot_id) == (State.RUNNING, "two")
    await engine.close()
    again = tube.restarted()
    engine = again.engine()
    await engine.start()
    assert list(engine.snapshots()) == [first, second]
    await engine.close()


@in_virtual_time
async def test_never_wrong_base_the_invalidation_is_on_disk_before_the_shim_is_asked() -> None:
    tube = restoring()
    engine = await tube.running()
    await engine.commit("sb", snapshot_id="one")
    await engine.pause("sb")
    seen: list[bool] = []

    async def look_at_disk(_: ToyRuntime) -> None:
        seen.append(tube.store.records["sb"].bindings.invalid)

    tube.toy.plans.append(look_at_disk)
    await engine.resume("sb")
    assert seen == [True]
    await engine.commit("sb", snapshot_id="two")
    await engine.commit("sb", snapshot_id="three")
    assert commits(tube)[1:] == ["two full", "three soft-dirty two"]
    await engine.close()


@in_virtual_time
async def test_never_wrong_base_after_a_resume_that_failed_for_its_caller() -> None:
    for plan in (refuses("no", after=Status.RUNNING), loses_connection, takes(40)):
        tube = restoring()
        engine = await tube.running()
        await engine.commit("sb", snapshot_id="one")
        await engine.pause("sb")
        tube.toy.plans.append(plan)
        await fault_of(engine.resume("sb"))
        await asyncio.sleep(60)
        tube.toy.status = Status.RUNNING
        await asyncio.sleep(11)
        await engine.commit("sb", snapshot_id="two")
        assert commits(tube)[1:] == ["two full"]
        await engine.close()


@in_virtual_time
async def test_never_wrong_base_after_a_resume_behind_the_agents_back() -> None:
    tube = restoring()
    engine = await tube.running()
    await engine.commit("sb", snapshot_id="one")
    await engine.pause("sb")
    tube.toy.status = Status.RUNNING
    engine.hint("sb")
    await asyncio.sleep(1)
    assert state_of(engine) is State.RUNNING
    await engine.commit("sb", snapshot_id="two")
    assert commits(tube)[1:] == ["two full"]
    await engine.close()


@in_virtual_time
async def test_never_wrong_base_after_a_pause_and_resume_while_no_agent_was_there() -> None:
    tube = restoring()
    engine = await tube.running()
    await engine.commit("sb", snapshot_id="one")
    await engine.close()
    tube.toy.generation += 1
    again = tube.restarted()
    engine = again.engine()
    await engine.start()
    await asyncio.sleep(1)
    (record,) = engine.view()
    assert (record.bindings.invalid, again.store.records["sb"]) == (True, record)
    await engine.commit("sb", snapshot_id="two")
    assert commits(tube)[1:] == ["two full"]
    await engine.close()


@in_virtual_time
async def test_never_wrong_base_a_commit_that_failed_is_no_base() -> None:
    tube = restoring()
    engine = await tube.running()
    await engine.commit("sb", snapshot_id="one")
    tube.toy.plans.append(refuses("disk full"))
    await fault_of(engine.commit("sb", snapshot_id="two"))
    await engine.commit("sb", snapshot_id="two")
    assert commits(tube)[1:] == ["two soft-dirty one", "two full"]
    await engine.close()


@in_virtual_time
async def test_late_and_repeated_events_after_a_commit_drop_nothing() -> None:
    tube = restoring()
    engine = await tube.running()
    await engine.pause("sb")
    await engine.resume("sb")
    await engine.commit("sb", snapshot_id="one")
    for _ in range(5):
        engine.hint("sb")
        await asyncio.sleep(1)
    await engine.commit("sb", snapshot_id="two")
    assert commits(tube) == ["one full", "two soft-dirty one"]
    await engine.close()


@in_virtual_time
async def test_a_freezer_keeps_its_bindings() -> None:
    tube = Tube(toy=ToyRuntime(capabilities=Capabilities(snapshots=True)))
    engine = await tube.running()
    await engine.commit("sb", snapshot_id="one")
    await engine.pause("sb")
    await engine.resume("sb")
    await engine.commit("sb", snapshot_id="two")
    assert commits(tube)[1:] == ["two soft-dirty one"]
    await engine.close()


@in_virtual_time
async def test_a_rollback_goes_back_and_is_the_next_base() -> None:
    tube = restoring()
    engine = await tube.running()
    await engine.commit("sb", snapshot_id="one")
    await engine.commit("sb", snapshot_id="two")
    rolled = await engine.rollback("sb", snapshot_id="one")
    assert (rolled.bindings.runtime.snapshot_id, rolled.bindings.generation) == ("one", 1)
    await asyncio.sleep(11)
    await engine.commit("sb", snapshot_id="three")
    assert commits(tube)[2:] == ["three soft-dirty one"]
    await engine.close()


@in_virtual_time
async def test_never_wrong_base_a_rollback_of_unknown_outcome_leaves_none() -> None:
    tube = restoring()
    engine = await tube.running()
    await engine.commit("sb", snapshot_id="one")
    tube.toy.plans.append(loses_connection)
    await fault_of(engine.rollback("sb", snapshot_id="one"))
    early = await fault_of(engine.commit("sb", snapshot_id="two"))
    assert (early.reason, early.retryable) == (Reason.SNAPSHOT_IN_PROGRESS, True)
    await asyncio.sleep(30)
    await engine.commit("sb", snapshot_id="two")
    assert commits(tube)[1:] == ["two full"]
    await engine.close()


@in_virtual_time
async def test_two_sandboxes_cannot_make_one_snapshot() -> None:
    tube = restoring()
    engine = await tube.running()
    await engine.create(SPEC, sandbox_id="other", namespace="")
    tube.toy.plans.append(takes(3))
    first = asyncio.create_task(engine.commit("sb", snapshot_id="one"))
    await asyncio.sleep(1)
    fault = await fault_of(engine.commit("other", snapshot_id="one"))
    assert (fault.reason, fault.retryable) == (Reason.SNAPSHOT_IN_PROGRESS, True)
    await first
    fault = await fault_of(engine.commit("other", snapshot_id="one"))
    assert fault.reason is Reason.SNAPSHOT_EXISTS
    await engine.close()


@in_virtual_time
async def test_a_name_stays_claimed_while_its_commit_is_open_across_a_restart() -> None:
    tube = restoring()
    engine = await tube.running()
    await engine.create(SPEC, sandbox_id="other", namespace="")
    tube.toy.plans.append(hangs)
    first = asyncio.create_task(engine.commit("sb", snapshot_id="one"))
    await asyncio.sleep(1)
    await engine.close()
    first.cancel()
    tube.toy.silent = True
    again = tube.restarted()
    engine = again.engine()
    await engine.start()
    await asyncio.sleep(1)
    fault = await fault_of(engine.commit("other", snapshot_id="one"))
    assert fault.reason is Reason.SNAPSHOT_IN_PROGRESS
    await engine.delete("sb")
    tube.toy.alive = True
    tube.toy.awakes()
    await engine.commit("other", snapshot_id="one")
    await engine.close()


@in_virtual_time
async def test_a_claim_ends_with_a_refusal() -> None:
    tube = restoring()
    engine = await tube.running()
    await engine.create(SPEC, sandbox_id="other", namespace="")
    await engine.pause("sb")
    assert (await fault_of(engine.commit("sb", snapshot_id="one"))).reason is Reason.NOT_RUNNING
    tube.toy.status = Status.RUNNING
    await engine.commit("other", snapshot_id="one")
    await engine.close()


@in_virtual_time
async def test_what_cannot_be_a_snapshot_is_refused_before_anything_begins() -> None:
    unreadable = RecordingStore(Loaded(unreadable_snapshots={"odd": "version 9"}))
    tube = Tube(toy=ToyRuntime(capabilities=RESTORES), store=unreadable)
    engine = await tube.running()
    for name, reason in (
        ("odd", Reason.SNAPSHOT_EXISTS),
        (INVALID_BASE, Reason.BAD_REQUEST),
        ("../up", Reason.BAD_REQUEST),
    ):
        assert (await fault_of(engine.commit("sb", snapshot_id=name))).reason is reason
    assert (await fault_of(engine.rollback("sb", snapshot_id="none"))).reason is (
        Reason.SNAPSHOT_NOT_FOUND
    )
    assert (await fault_of(engine.commit("none", snapshot_id="one"))).reason is (
        Reason.SANDBOX_NOT_FOUND
    )
    assert tube.toy.calls == ["create"]
    await engine.close()


@in_virtual_time
async def test_a_runtime_without_snapshots_says_so() -> None:
    tube = Tube()
    engine = await tube.running()
    for ask in (
        engine.commit("sb", snapshot_id="one"),
        engine.rollback("sb", snapshot_id="one"),
    ):
        assert (await fault_of(ask)).reason is Reason.SNAPSHOTS_UNSUPPORTED
    await engine.close()


@in_virtual_time
async def test_a_create_begins_from_a_snapshot_that_is_there() -> None:
    tube = restoring()
    engine = await tube.running()
    await engine.commit("sb", snapshot_id="one")
    clone = replace(SPEC, snapshot="one")
    record = await engine.create(clone, sandbox_id="clone", namespace="")
    assert record.bindings.runtime.snapshot_id == "one"
    await engine.commit("clone", snapshot_id="two")
    assert commits(tube)[1:] == ["two soft-dirty one"]
    unknown = replace(SPEC, snapshot="none")
    fault = await fault_of(engine.create(unknown, sandbox_id="odd", namespace=""))
    assert fault.reason is Reason.SNAPSHOT_NOT_FOUND
    await engine.close()
