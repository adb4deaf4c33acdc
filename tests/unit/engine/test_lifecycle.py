"""How a sandbox begins and ends: nothing half made stays, and a deletion wins over all else."""

from __future__ import annotations

import asyncio

from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.model import State
from tests.support.engine import SPEC, Tube, hangs, refuses, takes
from tests.support.virtual_time import run_virtual
from tests.unit.engine.test_operations import fault_of, now_s


def test_delete_wins_over_a_hung_pause_and_nothing_brings_the_sandbox_back() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        tube.toy.plans.append(takes(20))
        pause = asyncio.create_task(engine.pause("sb"))
        await asyncio.sleep(1)
        await engine.delete("sb")
        assert now_s() == 1.0
        assert (await fault_of(pause)).reason is Reason.DELETED_MEANWHILE
        await asyncio.sleep(40)
        assert (list(engine.view()), tube.store.records) == ([], {})
        await engine.close()

    run_virtual(main())


def test_a_delete_that_leaves_something_says_what_and_is_tried_again() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        tube.toy.destroy_fault = Fault(
            code=Code.UNAVAILABLE, reason=Reason.RUNTIME_REFUSED, message="a mount is busy"
        )
        assert "a mount is busy" in (await fault_of(engine.delete("sb"))).message
        record = tube.store.records["sb"]
        assert (record.state, record.delete_failure) == (State.DELETED, tube.toy.destroy_fault)
        tube.toy.destroy_fault = None
        await engine.delete("sb")
        assert tube.store.records == {}
        await engine.close()

    run_virtual(main())


def test_a_failed_create_leaves_nothing() -> None:
    async def main() -> None:
        tube = Tube()
        engine = tube.engine()
        await engine.start()
        tube.toy.plans.append(refuses("no such file"))
        fault = await fault_of(engine.create(SPEC, sandbox_id="sb", namespace=""))
        assert "no such file" in fault.message
        assert (list(engine.view()), tube.store.records) == ([], {})
        assert tube.toy.calls == ["create", "destroy"]
        await engine.create(SPEC, sandbox_id="sb", namespace="")
        await engine.close()

    run_virtual(main())


def test_a_create_that_takes_too_long_is_undone() -> None:
    async def main() -> None:
        tube = Tube()
        engine = tube.engine()
        await engine.start()
        tube.toy.plans.append(hangs)
        fault = await fault_of(engine.create(SPEC, sandbox_id="sb", namespace=""))
        assert (now_s(), fault.reason) == (60.0, Reason.RUNTIME_DEADLINE)
        assert tube.toy.calls == ["create", "destroy"]
        await engine.close()

    run_virtual(main())


def test_a_delete_during_create_waits_for_the_create_to_end() -> None:
    async def main() -> None:
        tube = Tube()
        engine = tube.engine()
        await engine.start()
        tube.toy.plans.append(takes(2))
        create = asyncio.create_task(engine.create(SPEC, sandbox_id="sb", namespace=""))
        await asyncio.sleep(1)
        await engine.delete("sb")
        assert now_s() == 2.0
        assert (await fault_of(create)).reason is Reason.DELETED_MEANWHILE
        assert (tube.toy.calls, tube.toy.alive) == (["create", "destroy"], False)
        await engine.close()

    run_virtual(main())


def test_an_id_is_taken_while_its_sandbox_lives() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        fault = await fault_of(engine.create(SPEC, sandbox_id="sb", namespace=""))
        assert (fault.reason, tube.toy.calls) == (Reason.SANDBOX_EXISTS, ["create"])
        await engine.close()

    run_virtual(main())


def test_an_explanation_tells_nothing_of_an_earlier_sandbox_of_that_id() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        await engine.pause("sb")
        await engine.delete("sb")
        await engine.create(SPEC, sandbox_id="sb", namespace="")
        told = (await engine.explain("sb")).journal
        assert [entry.after for entry in told] == [State.CREATED, State.RUNNING]
        assert len(await engine.journal("sb", limit=100)) == 8
        await engine.close()

    run_virtual(main())
