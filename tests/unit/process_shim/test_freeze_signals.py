"""The rounds that stop a tree: the plan as a function, and the freezer on made-up trees."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import pytest

from cubelet.shims.process import freeze_signals
from cubelet.shims.process.errors import FreezeFailed
from cubelet.shims.process.freeze_signals import (
    COURTEOUS_ROUNDS_MAX,
    ROUNDS_MAX,
    SignalFreezer,
    plan_round,
)
from cubelet.shims.process.identity import Identity
from cubelet.shims.process.tree import Process, Walk


def who(pid: int) -> Identity:
    return Identity(pid, pid)


def tree(*processes: tuple[int, int, str], whole: bool = True) -> Walk:
    """Processes as (pid, parent or 0, states of the threads)."""
    return Walk(
        tuple(
            Process(who(pid), who(parent) if parent else None, states)
            for pid, parent, states in processes
        ),
        whole,
    )


STILL = tree((1, 0, "T"), (2, 1, "T"))


def test_two_equal_still_looks_settle_it() -> None:
    assert plan_round(STILL, before=STILL, ours=(), courteous=True).settled


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (None, STILL),
        (tree((1, 0, "T"), (2, 1, "S")), STILL),
        (tree((1, 0, "T")), STILL),
        (tree((1, 0, "T"), (2, 1, "T"), whole=False), STILL),
        (STILL, tree((1, 0, "T"), (2, 1, "T"), whole=False)),
        (STILL, tree((1, 0, "T"), (2, 1, "TR"))),
        (STILL, tree((1, 0, "T"), (2, 1, "T"), (3, 1, "Z"))),  # Who left this corpse?
        (STILL, Walk((Process(Identity(1, 9), None, "T"),), whole=True)),  # The pid is another's.
    ],
)
def test_less_does_not(before: Walk | None, now: Walk) -> None:
    assert not plan_round(now, before=before, ours=(), courteous=True).settled


def test_a_corpse_that_was_reaped_does_no_harm() -> None:
    before = tree((1, 0, "T"), (2, 1, "Z"))
    assert plan_round(tree((1, 0, "T")), before=before, ours=(), courteous=True).settled


def test_courtesy_waits_for_the_parent() -> None:
    now = tree((1, 0, "S"), (2, 1, "S"), (3, 0, "T"), (4, 3, "S"))
    plan = plan_round(now, before=None, ours=(), courteous=True)
    assert plan.stop == (who(1), who(4))
    rude = plan_round(now, before=None, ours=(), courteous=False)
    assert rude.stop == (who(1), who(2), who(4))
    assert plan.loose == rude.loose == (who(1), who(2), who(4))


@pytest.mark.parametrize("courteous", [True, False])
def test_a_child_that_a_blocked_parent_waits_for_is_let_go(courteous: bool) -> None:  # noqa: FBT001
    now = tree((1, 0, "SD"), (2, 1, "T"), (3, 1, "S"), (4, 1, "T"))
    plan = plan_round(now, before=None, ours={who(2)}, courteous=courteous)
    assert plan.release == (who(2),), "4 was not stopped by us"
    assert plan.stop == (who(1),)


class Kernel:
    """Processes that obey signals, or do not; every look is recorded by what it shows."""

    def __init__(self) -> None:
        self.states: dict[int, str] = {}
        self.parents: dict[int, int] = {}
        self.sent: list[tuple[int, int]] = []
        self.signalled = asyncio.Event()
        self.deaf: set[int] = set()
        self.forbidden: set[int] = set()
        self.before_look: Callable[[], None] = lambda: None

    def add(self, pid: int, parent: int = 0, state: str = "S") -> None:
        self.states[pid], self.parents[pid] = state, parent

    def look(self, root: int) -> Walk:
        assert root == os.getpid()
        self.before_look()
        return tree(*((pid, self.parents[pid], state) for pid, state in self.states.items()))

    def send(self, identity: Identity, number: int) -> bool:
        if identity.pid in self.forbidden:
            raise PermissionError
        self.sent.append((identity.pid, number))
        self.signalled.set()
        if identity.pid not in self.deaf:
            self.states[identity.pid] = "T" if number == signal.SIGSTOP else "S"
        return True


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(freeze_signals, "send", made.send)
    return made


def freezer_of(kernel: Kernel) -> SignalFreezer:
    return SignalFreezer(os.getpid(), look=kernel.look)


async def test_parents_stop_first_and_go_on_last(kernel: Kernel) -> None:
    for pid in range(1, 5):
        kernel.add(pid, parent=pid - 1)
    kernel.add(9, parent=1, state="T")
    freezer = freezer_of(kernel)

    await freezer.freeze()
    assert kernel.sent == [(pid, signal.SIGSTOP) for pid in (1, 2, 3, 4)]
    assert set(kernel.states.values()) == {"T"}

    kernel.sent.clear()
    await freezer.thaw()
    assert kernel.sent == [(pid, signal.SIGCONT) for pid in (4, 3, 2, 1)]
    assert kernel.states[9] == "T", "it had stopped before"


async def test_one_that_does_not_stop_is_named_and_all_go_on(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freeze_signals, "FREEZE_S_MAX", 0.05)
    kernel.add(1)
    kernel.add(2)
    kernel.deaf.add(2)
    with pytest.raises(FreezeFailed, match="process 2 was not stopped"):
        await freezer_of(kernel).freeze()
    assert kernel.states == {1: "S", 2: "S"}


async def test_one_of_another_user_is_named_and_all_go_on(kernel: Kernel) -> None:
    kernel.add(1)
    kernel.add(2)
    kernel.forbidden.add(2)
    with pytest.raises(FreezeFailed, match="process 2 was not stopped: it runs as another user"):
        await freezer_of(kernel).freeze()
    assert kernel.states == {1: "S", 2: "S"}


async def test_a_runner_that_is_never_caught_is_given_up_and_all_go_on(kernel: Kernel) -> None:
    looks = 0

    def run() -> None:
        nonlocal looks
        looks += 1
        kernel.states.pop(1000 + looks - 1, None)
        kernel.add(1000 + looks, state="T")

    kernel.add(1)
    kernel.before_look = run
    with pytest.raises(FreezeFailed, match="kept changing"):
        await freezer_of(kernel).freeze()
    assert looks == ROUNDS_MAX + 1
    assert kernel.states[1] == "S"


async def test_a_chain_that_grows_down_is_stopped_in_the_end(kernel: Kernel) -> None:
    """Courtesy alone would descend one step a round, as fast as the chain grows."""
    looks = 0

    def grow() -> None:
        nonlocal looks
        looks += 1
        last = max(kernel.states)
        if kernel.states[last] == "S" and looks < COURTEOUS_ROUNDS_MAX * 2:
            kernel.add(last + 1, parent=last)

    kernel.add(1)
    kernel.before_look = grow
    await freezer_of(kernel).freeze()
    assert set(kernel.states.values()) == {"T"}


async def test_a_cancelled_freeze_lets_all_go(kernel: Kernel) -> None:
    kernel.add(1)
    kernel.add(2)
    kernel.deaf.add(2)
    freezing = asyncio.create_task(freezer_of(kernel).freeze())
    await kernel.signalled.wait()
    freezing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await freezing
    assert kernel.states[1] == "S"
