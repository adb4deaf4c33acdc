"""Many seeds over several processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
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


def run_many(
    start: int, seeds: int, *, jobs: int, progress: Callable[[int, Totals], None]
) -> Totals:
    """All seeds from `start` on; `progress` is told how many are done, and what they showed."""
    totals = Totals()
    with ExitStack() as stack:
        parts: Iterator[Totals] = map(_run_chunk, _chunks(start, seeds))
        if jobs > 1:
            pool = stack.enter_context(ProcessPoolExecutor(jobs))
            parts = pool.map(_run_chunk, _chunks(start, seeds))
        for number, part in enumerate(parts, start=1):
            totals.add(part)
            progress(min(number * CHUNK, seeds), totals)
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
