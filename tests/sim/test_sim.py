"""A few hundred simulated runs of the shipped agent; `scripts/sim` makes thousands."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.sim import runner
from tests.sim.faults import KINDS
from tests.sim.runner import Options, run
from tests.sim.shim import Shim
from tests.sim.shrink import shrink

SEEDS = 100


@pytest.mark.parametrize("start", range(1, SEEDS, 20))
def test_no_promise_breaks(start: int) -> None:
    broken = {seed: run(seed).violations for seed in range(start, start + 20)}
    assert not {seed: found for seed, found in broken.items() if found}


def test_the_same_seed_is_the_same_run() -> None:
    first = [run(seed).hash for seed in range(500, 520)]
    again = [run(seed).hash for seed in range(500, 520)]
    assert first == again
    assert len(set(first)) == 20


def test_there_are_at_least_forty_kinds_of_faults_and_they_come() -> None:
    came: Counter[str] = Counter()
    for seed in range(600, 720):
        came.update(run(seed).faults)
    assert len(KINDS) >= 40
    assert len(came) > 0.9 * len(KINDS)


def test_a_kind_of_fault_can_be_left_out() -> None:
    seed = next(seed for seed in range(1, 100) if run(seed).faults["status_unknown"])
    assert "status_unknown" not in run(seed, Options(without=frozenset({"status_unknown"}))).faults


def test_a_shim_that_resumes_without_restoring_its_lineage_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The truth is the memory: where it changes behind everybody's back, a commit shows it."""
    honest = Shim.touch

    def touch(shim: Shim) -> None:
        honest(shim)
        shim.memory.pages[99] = len(shim.calls)  # Written, and not marked as dirty.

    monkeypatch.setattr(Shim, "touch", touch)
    found = [violation for seed in range(1, 60) for violation in run(seed).violations]
    assert any(violation.startswith("I4") for violation in found)


def test_a_failing_run_is_cut_down_and_still_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Shim.was

    def never_paused(shim: Shim, what: str, since_s: float) -> bool:
        return what != "PAUSED" and honest(shim, what, since_s)

    monkeypatch.setattr(Shim, "was", never_paused)
    seed = next(seed for seed in range(1, 50) if run(seed).violations)
    shrunk = shrink(seed, runs_max=60)
    left = shrunk.result.acts - len(shrunk.options.cut)
    assert shrunk.result.violations
    assert left < shrunk.result.acts / 4
    assert shrunk.result.lines[-1]
    assert run(seed, replace(shrunk.options, keep_trace=False)).hash == shrunk.result.hash


def test_an_error_of_the_agent_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("cubelet.engine.worker.step", broken)
    assert any(violation.startswith("BUG") for violation in run(1).violations)
    assert runner.run(1).hash == run(1).hash
