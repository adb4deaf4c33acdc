"""The hunt for planted faults: how many seeds it takes to find each, and what finds it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace

from tests.sim.mutants import MUTANTS, SKIPPED
from tests.sim.runner import run

#: Seeds that a mutant gets before the next one has its turn: the few that take many end together.
TURN = 50
#: How much of what broke is printed.
_SHOWN_CHARS = 90
#: What finds a mutant: a promise, or an assertion of the agent's own tables. A mutant that only
#: breaks Python has shown nothing.
_FOUND_BY = re.compile(r"I\d+ |BUG .*AssertionError\('no edge")


@dataclass(frozen=True, slots=True)
class Hunt:
    """How many seeds one mutant took, and what the last of them broke; "" where none did."""

    name: str
    seeds: int
    violation: str
    took_s: float

    @property
    def found(self) -> bool:
        """Whether a promise broke."""
        return bool(_FOUND_BY.match(self.violation))


def hunt(name: str, seeds: range) -> Hunt:
    """Play these seeds with the mutant planted, up to the first violation."""
    begin = time.monotonic()
    with MUTANTS[name].planted():
        for seed in seeds:
            violations = run(seed).violations
            if violations:
                return Hunt(name, seed + 1, violations[0], time.monotonic() - begin)
    return Hunt(name, seeds.stop, "", time.monotonic() - begin)


def main(names: Sequence[str], *, seeds: int, jobs: int) -> int:
    """Hunt them all and print the table; 1 where one is not found within the seeds."""
    begin = time.monotonic()
    width = max(len(name) for name in names)
    print(f"{'mutant':{width}}  {'puts back':16}{'seeds':>6}{'s':>7}  found by")
    lost = []
    for one in _hunts(names, seeds=seeds, jobs=jobs):
        breaks = " ".join(MUTANTS[one.name].breaks)
        shown = one.violation[:_SHOWN_CHARS] if one.found else f"NOT FOUND {one.violation}"
        print(
            f"{one.name:{width}}  {breaks:16}{one.seeds:6d}{one.took_s:7.1f}  {shown}", flush=True
        )
        if not one.found:
            lost.append(one.name)
    for place, why in SKIPPED.items():
        print(f"skipped: {place}: {why}")
    for name in lost:
        print(f"not found: {name}: {MUTANTS[name].what}")
    print(
        f"mutants: {len(names) - len(lost)} of {len(names)} found within {seeds} seeds,"
        f" {time.monotonic() - begin:.0f} s ({jobs} jobs): {'NOT ALL' if lost else 'ok'}"
    )
    return 1 if lost else 0


def _hunts(names: Sequence[str], *, seeds: int, jobs: int) -> Iterator[Hunt]:
    """Each as it ends, from seed 0 on."""
    spent_s = dict.fromkeys(names, 0.0)
    with ProcessPoolExecutor(jobs) as pool:
        pending: set[Future[Hunt]] = {
            pool.submit(hunt, name, range(min(TURN, seeds))) for name in names
        }
        while pending:
            ended, pending = wait(pending, return_when=FIRST_COMPLETED)
            for one in [future.result() for future in ended]:
                spent_s[one.name] += one.took_s
                if one.violation or one.seeds >= seeds:
                    yield replace(one, took_s=spent_s[one.name])
                else:
                    turn = range(one.seeds, min(one.seeds + TURN, seeds))
                    pending.add(pool.submit(hunt, one.name, turn))
