"""The planted faults can be planted, cover what they must, and are found.

All of them are hunted by `scripts/sim --mutants`; here a few that take few seeds.
"""

from __future__ import annotations

import pytest

from tests.sim.mutants import BINDING_ROWS, INVARIANTS, MUTANTS, RACES, SKIPPED, Mutant
from tests.sim.runner import run

_ALL = pytest.mark.parametrize("mutant", MUTANTS.values(), ids=lambda mutant: mutant.name)
#: By name, what finds it within the seeds that a test can wait for.
_SAMPLE: dict[str, str | tuple[str, ...]] = {
    "late-pause-given-up": "I1 ",
    "silence-ends": "I5 ",
    "no-relist": ("I2 ", "I3 ", "I20 "),  # Whatever nobody looks at any more comes first.
    "key-not-kept": "I13 ",
    "not-invalidated-before-the-call": "I4 ",
}
_SAMPLE_SEEDS = 30


@_ALL
def test_a_mutant_changes_what_is_there(mutant: Mutant) -> None:
    changes = mutant.changes()
    assert changes
    for change in changes:
        assert change.differs, f"{change.target} is not there, or is not changed"


@_ALL
def test_a_mutant_says_what_it_breaks(mutant: Mutant) -> None:
    assert mutant.what.endswith(".")
    assert "\n" not in mutant.what
    assert mutant.breaks
    assert set(mutant.breaks) <= {*RACES, *INVARIANTS, *BINDING_ROWS}


@_ALL
def test_a_mutant_leaves_nothing_behind(mutant: Mutant) -> None:
    before = [change.current() for change in mutant.changes()]
    with mutant.planted():
        assert [change.current() for change in mutant.changes()] != before
    assert [change.current() for change in mutant.changes()] == before


def test_every_race_invariant_and_row_is_put_back_or_skipped_with_a_reason() -> None:
    put_back = {place for mutant in MUTANTS.values() for place in mutant.breaks}
    places = {*RACES, *INVARIANTS, *BINDING_ROWS}
    assert places - put_back == set(SKIPPED)
    assert all(SKIPPED.values())


@pytest.mark.parametrize("name", _SAMPLE)
def test_the_simulator_finds(name: str) -> None:
    with MUTANTS[name].planted():
        runs = (run(seed).violations for seed in range(_SAMPLE_SEEDS))
        found = next((violations[0] for violations in runs if violations), "")
    assert found.startswith(_SAMPLE[name])
