"""Damage: the store that ships is opened on files that were cut or have one wrong bit.

Both in a store that was closed and in one whose agent was killed, in every file that it has. What
is served then is held to what was written. Everything follows from the seed.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

from scripts.crashes.shares import Share, scratch, spread
from tests.power.damage import Damage, Verdict, Wrong, draw, judge, make
from tests.sim.dice import dice_of

#: Wrong outcomes that are described.
SHOWN_MAX = 20


@dataclass(slots=True)
class Totals:
    """What some of the damages have come to."""

    cuts: Counter[Verdict] = field(default_factory=Counter)
    flips: Counter[Verdict] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Totals) -> None:
        """What another process has seen."""
        self.cuts += other.cuts
        self.flips += other.flips
        self.wrong += other.wrong

    def note(self, damage: Damage, verdict: Verdict) -> None:
        """What one damage has come to."""
        (self.cuts if damage.cut else self.flips)[verdict] += 1


def run(count: int, seed: int) -> int:
    """So many cuts and so many flips; 0 where none made the store serve anything else."""
    begin = time.monotonic()
    totals = Totals()
    for part in spread(check, count, seed):
        totals.add(part)
    for line in totals.wrong[:SHOWN_MAX]:
        print(line)
    print(_summary(totals, count, seed, time.monotonic() - begin))
    return 1 if totals.wrong else 0


def check(count: int, seed: int, share: Share) -> Totals:
    """One share of the damages."""
    totals = Totals()
    with scratch() as place, asyncio.Runner() as runner:
        runner.run(make(place / "whole"))
        for number, damage in enumerate(draw(place / "whole", count, dice_of(seed))):
            if not share.has(number // 2):
                continue
            try:
                totals.note(damage, runner.run(judge(place / "whole", damage, place / "spoilt")))
            except Wrong as problem:
                totals.wrong.append(f"seed {seed}, {damage}: {problem}")
    return totals


def _summary(totals: Totals, count: int, seed: int, took_s: float) -> str:
    def told(verdicts: Counter[Verdict]) -> str:
        return ", ".join(f"{verdicts[one]} {one.value}" for one in Verdict)

    return (
        f"damage: {count} cuts ({told(totals.cuts)}) and {count} flipped bits"
        f" ({told(totals.flips)}) from seed {seed}, {len(totals.wrong)} wrong or lost in silence,"
        f" {took_s:.0f} s: {f'{len(totals.wrong)} BROKEN' if totals.wrong else 'ok'}"
    )
