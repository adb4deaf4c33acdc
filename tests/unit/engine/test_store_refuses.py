"""What is acknowledged is on disk: every commit of an operation is refused once."""

from __future__ import annotations

import asyncio

from cubelet.core.faults import Reason
from cubelet.core.model import State
from cubelet.engine.ports import StoreFailed
from tests.support.engine import SPEC, Tube
from tests.support.virtual_time import run_virtual
from tests.unit.engine.test_operations import fault_of, on_disk, state_of


def refuse(tube: Tube, *numbers: int) -> None:
    full = StoreFailed("disk full", cause="SQLITE_FULL")
    tube.store.refuse = lambda number: full if number in numbers else None


def test_without_an_intent_on_disk_no_shim_is_called() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        refuse(tube, 3)
        assert (await fault_of(engine.pause("sb"))).reason is Reason.STORE_FAILED
        assert (state_of(engine), tube.toy.calls) == (State.RUNNING, ["create"])
        assert (await engine.pause("sb")).state is State.PAUSED
        await engine.close()

    run_virtual(main())


def test_an_outcome_that_is_not_on_disk_is_no_success_and_the_next_look_settles_it() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        refuse(tube, 4)
        assert (await fault_of(engine.pause("sb"))).reason is Reason.STORE_FAILED
        assert state_of(engine) is State.PAUSING
        assert on_disk(tube) is State.PAUSING
        assert (await engine.get("sb")).state is State.PAUSED
        assert on_disk(tube) is State.PAUSED
        await engine.close()

    run_virtual(main())


def test_a_store_that_works_again_is_tried_again_at_once() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        refuse(tube, 4, 5, 6)
        assert (await fault_of(engine.pause("sb"))).reason is Reason.STORE_FAILED
        await asyncio.sleep(2)
        assert (state_of(engine), on_disk(tube)) == (State.PAUSED, State.PAUSED)
        await engine.close()

    run_virtual(main())


def test_a_created_sandbox_whose_record_was_refused_is_found_by_the_next_look() -> None:
    async def main() -> None:
        tube = Tube()
        engine = tube.engine()
        await engine.start()
        refuse(tube, 2)
        fault = await fault_of(engine.create(SPEC, sandbox_id="sb", namespace=""))
        assert fault.reason is Reason.STORE_FAILED
        assert state_of(engine) is State.CREATED
        assert (await engine.get("sb")).state is State.RUNNING
        await engine.close()

    run_virtual(main())


def test_a_create_whose_intent_was_refused_leaves_no_trace() -> None:
    async def main() -> None:
        tube = Tube()
        engine = tube.engine()
        await engine.start()
        refuse(tube, 1)
        fault = await fault_of(engine.create(SPEC, sandbox_id="sb", namespace=""))
        assert (fault.reason, tube.toy.calls) == (Reason.STORE_FAILED, [])
        assert list(engine.view()) == []
        await engine.create(SPEC, sandbox_id="sb", namespace="")
        await engine.close()

    run_virtual(main())


def test_a_delete_that_was_refused_deletes_nothing() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        refuse(tube, 3)
        assert (await fault_of(engine.delete("sb"))).reason is Reason.STORE_FAILED
        assert (state_of(engine), tube.toy.alive) == (State.RUNNING, True)
        await engine.delete("sb")
        assert (list(engine.view()), tube.toy.alive) == ([], False)
        await engine.close()

    run_virtual(main())


def test_a_removal_that_was_refused_is_tried_again() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        refuse(tube, 4)
        assert (await fault_of(engine.delete("sb"))).reason is Reason.STORE_FAILED
        assert state_of(engine) is State.DELETED
        await engine.delete("sb")
        assert tube.store.records == {}
        await engine.close()

    run_virtual(main())
