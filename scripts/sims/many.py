"""Many seeds over several processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.sim.checkers.settling import Times
from tests.sim.runner import run

#: Seeds that one process takes at a time.
CHUNK = 25


@dataclass(slots=True)
class Totals:
    """What many runs have shown together."""

    broken: dict[int, str] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    times: list[Times] = field(default_factory=list)
    sandbox_s: float = 0.0

    def add(self, other: Totals) -> None:
        """What another process has found."""
        self.broken.update(other.broken)
        self.faults.update(other.faults)
        self.times.extend(other.times)
        self.sandbox_s += other.sandbox_s


def run_many(start: int, seeds: int, *, jobs: int) -> Totals:
    """All seeds from `start` on; their order does not matter."""
    totals = Totals()
    if jobs == 1:
        for chunk in _chunks(start, seeds):
            totals.add(_run_chunk(chunk))
        return totals
    with ProcessPoolExecutor(jobs) as pool:
        for part in pool.map(_run_chunk, _chunks(start, seeds)):
            totals.add(part)
    return totals


def _chunks(start: int, seeds: int) -> Iterator[range]:
    for first in range(start, start + seeds, CHUNK):
        yield range(first, min(first + CHUNK, start + seeds))


def _run_chunk(seeds: range) -> Totals:
    totals = Totals()
    for seed in seeds:
        result = run(seed)
        if result.violations:
            totals.broken[seed] = result.violations[0]
        totals.faults.update(result.faults)
        totals.sandbox_s += result.sandbox_s
        totals.times.append(result.times)
    return totals
