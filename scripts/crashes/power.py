"""Power cuts: the store that ships is opened on thousands of disks that have lost their power.

A life of a store is recorded below SQLite, operation by operation. A cut comes after each of them,
and each cut in several ways (see `tests.power.disk`). What the store then shows is held to what it
had answered by that time. Everything follows from the seed.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from scripts.crashes.shares import Share, scratch, spread
from tests.power.disk import Cut
from tests.power.images import Case, Recorded, cases, record
from tests.power.judge import verdict, write_out

#: Every so many images are also written to, and read once more.
AGAIN_EVERY = 8
#: Wrong images that are described and kept.
SHOWN_MAX = 5
#: Wrong images after which a process looks at no more.
ENOUGH = 100


@dataclass(slots=True)
class Totals:
    """What some of the images have shown."""

    wrong: list[str] = field(default_factory=list)
    cuts: Counter[Cut] = field(default_factory=Counter)
    ops: int = 0
    lives: int = 0

    def add(self, other: Totals) -> None:
        """What another process has found, in the same lives."""
        self.wrong += other.wrong
        self.cuts += other.cuts
        self.ops, self.lives = other.ops, other.lives


def run(images: int, seed: int) -> int:
    """Check so many different images; 0 where every store was readable and had lost nothing."""
    begin = time.monotonic()
    totals = Totals()
    for part in spread(check, images, seed):
        totals.add(part)
    for line in totals.wrong[:SHOWN_MAX]:
        print(line)
    print(_summary(totals, seed, time.monotonic() - begin))
    return 1 if totals.wrong else 0


def check(images: int, seed: int, share: Share) -> Totals:
    """One share of the images; all of them are made, which costs next to nothing."""
    totals = Totals()
    with scratch() as place, asyncio.Runner() as runner:
        for number, (recorded, case) in enumerate(_drawn(images, seed, place, totals)):
            if not share.has(number):
                continue
            totals.cuts[case.cut] += 1
            judging = verdict(
                recorded.history,
                case.image,
                case.at,
                power=case.cut is not Cut.KEPT,
                root=place / "image",
                again=number // share.of % AGAIN_EVERY == 0,
            )
            why = runner.run(judging)
            if why:
                totals.wrong.append(_told(case, why, keep=len(totals.wrong) < SHOWN_MAX))
            if len(totals.wrong) >= ENOUGH:
                break
    return totals


def _drawn(images: int, seed: int, place: Path, totals: Totals) -> Iterator[tuple[Recorded, Case]]:
    """So many cases, no two alike: of as many lives as it takes, of the last from all parts."""
    left = images
    while left:
        recorded = record(seed + totals.lives, place / f"life {totals.lives}")
        totals.lives += 1
        totals.ops += len(recorded.ops)
        for case in islice(_unlike(recorded, left), left):
            yield recorded, case
            left -= 1


def _unlike(recorded: Recorded, wanted: int) -> Iterator[Case]:
    """Its cases without those whose disk and whose promises another had; first from all parts."""
    seen: set[tuple[object, ...]] = set()
    count = recorded.count
    stride = max(1, count // wanted)
    for first in range(stride):
        for case in cases(recorded, range(first, count, stride)):
            allowed = recorded.history.allowed(case.at, power=case.cut is not Cut.KEPT)
            # Bytes remember their hash, and most of a disk is as it was before.
            mark = (allowed, *((name, hash(data)) for name, data in case.image.items()))
            if mark not in seen:
                seen.add(mark)
                yield case


def _told(case: Case, why: str, *, keep: bool) -> str:
    """The line for a wrong image; the first of them are kept for whoever wants to look."""
    line = f"seed {case.seed}, operation {case.at}, {case.cut.value}: {why}"
    if keep:
        kept = Path(tempfile.mkdtemp(prefix="cubelet-power-"))
        write_out(case.image, kept / "image")
        line += f" [the disk: {kept / 'image'}]"
    return line


def _summary(totals: Totals, seed: int, took_s: float) -> str:
    count = totals.cuts.total()
    unreadable = sum("unreadable" in line for line in totals.wrong)
    ways = ", ".join(f"{totals.cuts[cut]} {cut.value}" for cut in Cut)
    return (
        f"power: {count} different disks after {totals.ops} operations in {totals.lives} lives"
        f" from seed {seed} (what was not synced: {ways}), {unreadable} unreadable stores,"
        f" {len(totals.wrong) - unreadable} with lost or wrong contents, {took_s:.0f} s,"
        f" {count / took_s:.0f} a second: {f'{len(totals.wrong)} BROKEN' if totals.wrong else 'ok'}"
    )
