"""A new agent on an old disk: what was in flight is lost, what was acknowledged is true."""

from __future__ import annotations

import asyncio

from cubelet.core.evidence import Gone, NoAnswer, Status
from cubelet.core.faults import Reason
from cubelet.core.model import State
from cubelet.engine.ports import Loaded
from tests.support.engine import SPEC, Tube, hangs, takes
from tests.support.stores import RecordingStore
from tests.support.virtual_time import run_virtual
from tests.unit.engine.test_operations import fault_of, state_of


def test_paused_stays_paused() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        await engine.pause("sb")
        await engine.close()
        again = tube.restarted()
        engine = again.engine()
        await engine.start()
        assert state_of(engine) is State.PAUSED
        await asyncio.sleep(1)
        assert state_of(engine) is State.PAUSED
        assert (await engine.resume("sb")).state is State.RUNNING
        await engine.close()

    run_virtual(main())


def test_a_pause_cut_short_settles_by_what_the_shim_says() -> None:
    async def main(happened: bool, state: State) -> None:  # noqa: FBT001
        tube = Tube()
        engine = await tube.running()
        tube.toy.plans.append(hangs)
        pause = asyncio.create_task(engine.pause("sb"))
        await asyncio.sleep(1)
        await engine.close()
        pause.cancel()
        tube.toy.status = Status.PAUSED if happened else Status.RUNNING
        engine = tube.restarted().engine()
        await engine.start()
        assert state_of(engine) is State.PAUSING
        await asyncio.sleep(10)
        assert (await engine.get("sb")).state is state
        await engine.close()

    run_virtual(main(happened=True, state=State.PAUSED))
    run_virtual(main(happened=False, state=State.RUNNING))


def test_a_create_cut_short_is_undone() -> None:
    async def main() -> None:
        tube = Tube()
        engine = tube.engine()
        await engine.start()
        tube.toy.plans.append(takes(9))
        create = asyncio.create_task(engine.create(SPEC, sandbox_id="sb", namespace=""))
        await asyncio.sleep(1)
        await engine.close()
        create.cancel()
        again = tube.restarted()
        engine = again.engine()
        await engine.start()
        await asyncio.sleep(1)
        assert (list(engine.view()), again.store.records) == ([], {})
        assert tube.toy.calls == ["create", "state", "destroy"]
        await engine.close()

    run_virtual(main())


def test_an_end_needs_evidence() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        await engine.close()
        tube.toy.evidence = NoAnswer(why="connection refused")
        engine = tube.restarted().engine()
        await engine.start()
        await asyncio.sleep(6)
        assert state_of(engine) is State.RUNNING
        tube.toy.evidence = Gone(why="shim and process are gone")
        engine.hint("sb")
        await asyncio.sleep(1)
        assert state_of(engine) is State.EXITED
        await engine.close()

    run_virtual(main())


def test_a_runtime_that_is_not_there_any_more_ends_nothing() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        await engine.close()
        again = tube.restarted()
        again.toy.name = "other"
        engine = again.engine()
        await engine.start()
        await asyncio.sleep(1)
        assert state_of(engine) is State.RUNNING
        (record,) = engine.view()
        assert record.last_seen is not None
        assert "runtime toy is not usable here" in record.last_seen.evidence
        assert (await fault_of(engine.delete("sb"))).reason is Reason.UNKNOWN_RUNTIME
        await engine.close()

    run_virtual(main())


def test_an_unreadable_record_is_told_and_its_id_not_given_away() -> None:
    async def main() -> None:
        tube = Tube(store=RecordingStore(Loaded(unreadable={"odd": "version 9"})))
        engine = tube.engine()
        await engine.start()
        assert (await fault_of(engine.get("odd"))).reason is Reason.UNREADABLE_RECORD
        fault = await fault_of(engine.create(SPEC, sandbox_id="odd", namespace=""))
        assert fault.reason is Reason.UNREADABLE_RECORD
        assert (await fault_of(engine.get("none"))).reason is Reason.SANDBOX_NOT_FOUND
        await engine.close()

    run_virtual(main())


def test_drain_lets_calls_end_and_refuses_new_ones() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        tube.toy.plans.append(takes(3))
        pause = asyncio.create_task(engine.pause("sb"))
        await asyncio.sleep(1)
        drain = asyncio.create_task(engine.drain(36))
        await asyncio.sleep(0)
        assert (await fault_of(engine.resume("sb"))).reason is Reason.SHUTTING_DOWN
        assert await drain == 0
        assert ((await pause).state, asyncio.get_running_loop().time()) == (State.PAUSED, 3.0)
        await engine.close()

    run_virtual(main())


def test_drain_leaves_open_what_does_not_end_and_says_how_much() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        tube.toy.plans.append(hangs)
        pause = asyncio.create_task(engine.pause("sb"))
        await asyncio.sleep(1)
        assert await engine.drain(5) == 1
        await engine.close()
        pause.cancel()
        assert tube.store.records["sb"].state is State.PAUSING

    run_virtual(main())
