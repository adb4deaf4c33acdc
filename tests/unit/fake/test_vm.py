"""The simulated VM: which state allows what, and that time stands still in a paused one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shimclient.errors import NotFound, StatusError
from shimclient.fake.vm import Vm
from shimclient.task import Exit, Status


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def vm_in(status: Status, clock: Clock | None = None) -> Vm:
    vm = Vm("box", clock=clock or Clock())
    if status is not Status.CREATED:
        vm.start()
    if status is Status.PAUSED:
        vm.pause()
    if status is Status.STOPPED:
        vm.stop(0, pid=1, at_ns=5)
    assert vm.status is status
    return vm


@pytest.mark.parametrize(
    ("operation", "allowed"),
    [
        (Vm.start, {Status.CREATED}),
        (Vm.pause, {Status.RUNNING}),
        (Vm.resume, {Status.PAUSED}),
    ],
)
def test_each_operation_has_one_state_and_elsewhere_is_code_2_without_effect(
    operation: Callable[[Vm], object], allowed: set[Status]
) -> None:
    for status in (Status.CREATED, Status.RUNNING, Status.PAUSED, Status.STOPPED):
        vm = vm_in(status)
        if status in allowed:
            operation(vm)
            assert vm.status is not status
        else:
            with pytest.raises(StatusError) as caught:
                operation(vm)
            assert (caught.value.code, vm.status) == (2, status)


def test_ticks_count_only_while_it_runs() -> None:
    clock = Clock()
    vm = vm_in(Status.CREATED, clock)
    clock.now_s += 5
    assert vm.ticks == 0
    vm.start()
    clock.now_s += 1.5
    assert vm.ticks == 1500
    vm.pause()
    clock.now_s += 60
    assert vm.ticks == 1500
    vm.resume()
    clock.now_s += 0.5
    assert vm.ticks == 2000
    vm.stop(0, pid=1, at_ns=9)
    clock.now_s += 60
    assert vm.ticks == 2000


def test_each_resume_is_a_new_generation() -> None:
    vm = vm_in(Status.PAUSED)
    assert vm.generation == 0
    vm.resume()
    vm.pause()
    vm.resume()
    assert vm.generation == 2


def test_a_paused_vm_dies_of_sigkill_at_once_and_of_sigterm_when_it_is_resumed() -> None:
    vm = vm_in(Status.PAUSED)
    assert not vm.deadly(15)
    assert vm.deadly(9)
    assert vm.resume() == 15
    vm.pause()
    assert vm.resume() == 0


def test_harmless_signals_pass_and_a_stopped_vm_takes_none() -> None:
    assert not vm_in(Status.RUNNING).deadly(10)
    assert vm_in(Status.RUNNING).deadly(15)
    with pytest.raises(NotFound):
        vm_in(Status.STOPPED).deadly(9)


def test_the_first_exit_stays() -> None:
    vm = vm_in(Status.RUNNING)
    vm.stop(137, pid=7, at_ns=1)
    assert vm.stop(0, pid=7, at_ns=2) == Exit(7, 137, 1)
