"""The engine in virtual time: an operation's order, its deadlines, what callers are told."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from cubelet.core.evidence import Evidence, Status
from cubelet.core.faults import Code, CubeletError, Fault, Reason
from cubelet.core.inputs import Expected
from cubelet.core.model import Call, Record, State
from cubelet.core.spec import HttpHook
from cubelet.engine.engine import Engine
from cubelet.engine.ports import Capabilities
from tests.support.engine import (
    SPEC,
    ToyRuntime,
    Tube,
    hangs,
    loses_connection,
    refuses,
    takes,
)
from tests.support.virtual_time import run_virtual


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def fault_of(work: object) -> Fault:
    with pytest.raises(CubeletError) as caught:
        await work  # type: ignore[misc]
    return caught.value.fault


def state_of(engine: Engine, sandbox_id: str = "sb") -> State:
    return next(record.state for record in engine.view() if record.id == sandbox_id)


def on_disk(tube: Tube, sandbox_id: str = "sb") -> State:
    return tube.store.records[sandbox_id].state


def test_a_sandbox_goes_through_its_life() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        assert state_of(engine) is State.RUNNING
        paused = await engine.pause("sb")
        assert (paused.state, tube.store.records["sb"]) == (State.PAUSED, paused)
        resumed = await engine.resume("sb")
        assert (resumed.state, resumed.epoch) == (State.RUNNING, 3)
        await engine.delete("sb")
        assert (list(engine.view()), tube.store.records) == ([], {})
        edges = [(entry.before, entry.after) for entry in tube.store.entries]
        assert edges == [
            (None, State.CREATED),
            (State.CREATED, State.RUNNING),
            (State.RUNNING, State.PAUSING),
            (State.PAUSING, State.PAUSED),
            (State.PAUSED, State.RESUMING),
            (State.RESUMING, State.RUNNING),
            (State.RUNNING, State.DELETED),
            (State.DELETED, State.DELETED),
        ]
        await engine.close()

    run_virtual(main())


@pytest.mark.parametrize("opaque", [False, True])
def test_of_the_intents_only_that_of_an_opaque_restore_is_synced(*, opaque: bool) -> None:
    async def main() -> None:
        tube = Tube(toy=ToyRuntime(capabilities=Capabilities(opaque_restore=opaque)))
        engine = await tube.running()
        await engine.pause("sb")
        await engine.resume("sb")
        create, pause, resume = [True, True], [False, True], [opaque, True]
        assert tube.store.synced == [*create, *pause, *resume]
        await engine.close()

    run_virtual(main())


def test_the_intent_is_on_disk_before_the_shim_is_called() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        seen: list[State] = []

        async def look_at_disk(_: ToyRuntime) -> None:
            seen.append(tube.store.records["sb"].state)

        tube.toy.plans.append(look_at_disk)
        await engine.pause("sb")
        assert seen == [State.PAUSING]
        await engine.close()

    run_virtual(main())


def test_a_hung_pause_fails_at_30_s_and_the_call_goes_on() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        tube.toy.plans.append(takes(40))
        fault = await fault_of(engine.pause("sb"))
        assert (now_s(), fault.code, fault.reason) == (
            30.0,
            Code.DEADLINE_EXCEEDED,
            Reason.RUNTIME_DEADLINE,
        )
        assert state_of(engine) is State.PAUSING
        await asyncio.sleep(10.5)
        assert (tube.toy.status, state_of(engine)) == (Status.PAUSED, State.PAUSED)
        assert on_disk(tube) is State.PAUSED
        await engine.close()

    run_virtual(main())


def test_a_silent_shim_costs_the_caller_5_s_more_and_no_state() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        tube.toy.plans.append(hangs)
        tube.toy.silent = True
        fault = await fault_of(engine.pause("sb"))
        assert now_s() == 35.0
        assert fault.reason is Reason.RUNTIME_DEADLINE
        assert state_of(engine) is State.PAUSING
        await engine.close()

    run_virtual(main())


@pytest.mark.parametrize(("after", "state"), [(None, State.RUNNING), (Status.PAUSED, State.PAUSED)])
def test_a_refused_pause_is_a_failure_whatever_the_view_converges_to(
    after: Status | None, state: State
) -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        tube.toy.plans.append(refuses("runc said no", after=after))
        fault = await fault_of(engine.pause("sb"))
        assert fault.reason is Reason.RUNTIME_REFUSED
        assert "runc said no" in fault.message
        assert f"it is {state}" in fault.message
        assert state_of(engine) is state
        assert on_disk(tube) is state
        await engine.close()

    run_virtual(main())


def test_a_lost_connection_leaves_the_pause_open_until_two_answers_10_s_apart() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        tube.toy.plans.append(loses_connection)
        assert (await fault_of(engine.pause("sb"))).reason is Reason.RUNTIME_LOST
        assert state_of(engine) is State.PAUSING
        await asyncio.sleep(9)
        assert (await engine.get("sb")).state is State.PAUSING
        await asyncio.sleep(1)
        assert (await engine.get("sb")).state is State.RUNNING
        await engine.close()

    run_virtual(main())


def test_a_second_pause_joins_the_first_and_a_resume_is_refused_meanwhile() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        tube.toy.plans.append(takes(3))
        first = asyncio.create_task(engine.pause("sb"))
        await asyncio.sleep(1)
        second = asyncio.create_task(engine.pause("sb"))
        fault = await fault_of(engine.resume("sb"))
        assert (fault.reason, fault.retryable) == (Reason.PAUSE_IN_PROGRESS, True)
        assert await first is await second
        assert first.result().state is State.PAUSED
        assert tube.toy.calls.count("pause") == 1
        assert tube.toy.calls.count("resume") == 0
        await engine.close()

    run_virtual(main())


def test_a_caller_that_leaves_cancels_nothing() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        tube.toy.plans.append(takes(3))
        caller = asyncio.create_task(engine.pause("sb"))
        await asyncio.sleep(1)
        caller.cancel()
        await asyncio.sleep(3)
        assert (caller.cancelled(), state_of(engine)) == (True, State.PAUSED)
        await engine.close()

    run_virtual(main())


def test_a_stale_precondition_calls_nothing() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        fault = await fault_of(engine.pause("sb", expected=Expected(epoch=7)))
        assert (fault.reason, tube.toy.calls) == (Reason.STALE_EPOCH, ["create"])
        assert (await engine.pause("sb", expected=Expected(epoch=1))).epoch == 2
        await engine.close()

    run_virtual(main())


def test_prestop_hooks_run_before_the_pause_and_cannot_stop_it() -> None:
    async def main() -> None:
        tube = Tube()
        hook = HttpHook(host="10.0.0.1", port=80, path="/bye", timeout_s=1)
        skipped = replace(hook, timeout_s=0)
        engine = await tube.running(spec=replace(SPEC, prestop=(hook, skipped)))
        assert (await engine.pause("sb")).state is State.PAUSED
        assert tube.hooks.ran == ["pause 10.0.0.1:80/bye"]
        await engine.close()

    run_virtual(main())


HOOKED = replace(SPEC, prestop=(HttpHook(host="10.0.0.1", port=80, timeout_s=60),))


def test_slow_and_failing_hooks_are_cut_off_and_the_call_gets_its_30_s_after_them() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running(spec=HOOKED)
        tube.hooks.takes_s = 60
        tube.toy.plans.append(takes(29))
        assert (await engine.pause("sb")).state is State.PAUSED
        assert now_s() == 10 + 29
        await engine.resume("sb")
        tube.hooks.takes_s = 0
        tube.hooks.fault = Fault(
            code=Code.UNAVAILABLE, reason=Reason.RUNTIME_REFUSED, message="connection refused"
        )
        assert (await engine.pause("sb")).state is State.PAUSED
        await engine.close()

    run_virtual(main())


def test_a_delete_during_the_hooks_leaves_the_next_sandbox_of_that_id_alone() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running(spec=HOOKED)
        tube.hooks.takes_s = 5
        pause = asyncio.create_task(engine.pause("sb"))
        await asyncio.sleep(1)
        await engine.delete("sb")
        assert (await fault_of(pause)).reason is Reason.DELETED_MEANWHILE
        await engine.create(SPEC, sandbox_id="sb", namespace="")
        await asyncio.sleep(10)
        assert tube.toy.calls == ["create", "destroy", "create", "state"]
        assert state_of(engine) is State.RUNNING
        await engine.close()

    run_virtual(main())


def test_a_crashed_adapter_is_an_open_outcome_not_a_state() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()

        async def breaks(_: ToyRuntime) -> None:
            raise RuntimeError("secret inside")

        tube.toy.plans.append(breaks)
        fault = await fault_of(engine.pause("sb"))
        assert (fault.reason, "secret" in fault.message) == (Reason.BUG, False)
        record = tube.store.records["sb"]
        assert record.open is not None
        assert (record.state, record.open.call) == (State.PAUSING, Call.LOST)
        await engine.close()

    run_virtual(main())


def test_a_timeout_of_the_adapters_own_is_its_bug_and_not_our_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        tube = Tube()

        async def gives_up(_: ToyRuntime) -> None:
            raise TimeoutError

        tube.toy.plans.append(gives_up)
        engine = tube.engine()
        await engine.start()
        fault = await fault_of(engine.create(SPEC, sandbox_id="sb", namespace=""))
        assert (fault.reason, now_s()) == (Reason.BUG, 0)
        await engine.create(SPEC, sandbox_id="sb", namespace="")

        async def silent(record: Record) -> Evidence:
            raise TimeoutError

        monkeypatch.setattr(tube.toy, "state", silent)
        await engine.reconcile("sb")
        seen = (await engine.get("sb")).last_seen
        assert seen is not None
        assert "broke (TimeoutError)" in seen.evidence
        await engine.close()

    run_virtual(main())


def test_over_the_inbox_bound_requests_are_refused_and_counted_out() -> None:
    async def main() -> None:
        tube = Tube()
        engine = await tube.running()
        crowd = [asyncio.create_task(engine.pause("sb")) for _ in range(100)]
        results = await asyncio.gather(*crowd, return_exceptions=True)
        reasons = [r.fault.reason for r in results if isinstance(r, CubeletError)]
        assert reasons.count(Reason.TOO_BUSY) == 100 - 64
        assert sum(not isinstance(r, Exception) for r in results) == 64
        await engine.close()

    run_virtual(main())
