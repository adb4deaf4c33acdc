"""Failures: each call of the operating system that the store makes fails, once, and for ever.

With each trouble that can come of it, over a store that has contents and over none. What the store
answers then is held to what it holds when the disk is well again. Nothing is left to chance.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from scripts.crashes.shares import Share, scratch, spread
from tests.power.errands import Wrong, make_old, run_errand
from tests.power.faults import Faults
from tests.power.watch import Trouble

SHOWN_MAX = 20


@dataclass(slots=True)
class Totals:
    """What some of the failures have come to."""

    rounds: Counter[Trouble] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def run(every: int = 1) -> int:
    """Let each call fail, or one of `every` so many; 0 where every promise held."""
    begin = time.monotonic()
    totals = Totals()
    for part in spread(check, every, 0):
        totals.rounds += part.rounds
        totals.wrong += part.wrong
    for line in totals.wrong[:SHOWN_MAX]:
        print(line)
    counts = ", ".join(f"{totals.rounds[one]} {one}" for one in Trouble)
    verdict = f"{len(totals.wrong)} BROKEN" if totals.wrong else "ok"
    print(
        f"failures: in {totals.rounds.total()} rounds another call failed ({counts}), in half of"
        f" them all after it too, {len(totals.wrong)} broken promises,"
        f" {time.monotonic() - begin:.0f} s: {verdict}"
    )
    return 1 if totals.wrong else 0


def check(every: int, seed: int, share: Share) -> Totals:
    """One share of the rounds: from `seed` on each `every`-th call, turn by turn."""
    totals = Totals()
    with scratch() as place, asyncio.Runner() as runner:
        for template in _templates(place, runner):
            for trouble, for_ever in itertools.product(Trouble, (False, True)):
                for nth in itertools.count(1 + seed + every * share.first, every * share.of):
                    faults = Faults(place / "run", trouble, nth=nth, for_ever=for_ever)
                    try:
                        runner.run(run_errand(template, faults))
                    except Wrong as problem:
                        totals.wrong.append(f"{template.name}: {problem}")
                    if not faults.failed:
                        break
                    totals.rounds[trouble] += 1
    return totals


def _templates(place: Path, runner: asyncio.Runner) -> list[Path]:
    """A directory with a store that a killed agent left, and one without."""
    old, empty = place / "old", place / "empty"
    for one in (old, empty):
        one.mkdir()
    runner.run(make_old(old / "store.db"))
    return [old, empty]
