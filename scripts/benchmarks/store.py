"""Durable transitions a second through the agent's store, against what stands for its limits.

A transition is all that a pause or resume commits: that it is meant (the record and a journal line,
which must outlive the agent), and how it ended (both again, and the answer under the caller's key,
which must outlive a power cut). Writers are as many sandboxes that are paused and resumed at the
same time; each waits for one commit before it makes the next.

In the same run, in turns, and of the same bytes:
 * one by one: the same statements through the same store without its group commit, so each change
   is a transaction of its own with its sync;
 * bare: written over a file and fdatasync, once for a transition of each writer; the limit;
 * bbolt: Go's store, by Batch (its group commit) and by Update, where Debian's packages are there.
   It syncs every transaction, as it knows no other kind in the same file; so it is also shown
   without the intents: one sync for a transition as with us, and less than the agent needs.

Ratios are of one round each, and what is printed and judged is their median.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import statistics
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import uvloop

from scripts.benchmarks.store_subjects import (
    HOW_TO_GET_BBOLT,
    Bare,
    Bbolt,
    Taken,
    Work,
    build_bbolt,
    commit,
    grouping,
    one_by_one,
)
from scripts.benchmarks.workload import Sandbox

#: Writers, and how many transitions each of them makes in a round.
TRANSITIONS: Mapping[int, int] = {1: 150, 16: 60, 64: 50}
#: Those whose writers wait for each other, and how many transitions they all make in a round.
SERIAL = frozenset({"one by one", "bbolt update"})
_SERIAL_TRANSITIONS = 150
SANDBOXES = 1024
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})

Commit = Callable[[Work], Awaitable[Taken]]


@dataclass(frozen=True, slots=True)
class Limit:
    """The least that our rate may be, as a part of another's with as many writers."""

    writers: int
    of: str
    least: float


#: About half of what was measured, the sync being 0.1 ms: 0.24, 0.75, 3.5, 4.1 and 1.0. One
#: writer gains nothing by the group commit, and pays for the way to the thread and back.
LIMITS = (
    Limit(1, "bare", 0.1),
    Limit(1, "one by one", 0.4),
    Limit(16, "one by one", 1.8),
    Limit(64, "one by one", 2.0),
    Limit(64, "bbolt batch", 0.5),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `scripts/bench store`."""
    parser.add_argument("--rounds", type=int, default=7, help="rounds (default 7)")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(tempfile.gettempdir()),
        help="on the file system to measure (default: where temporary files are)",
    )


def run(args: argparse.Namespace) -> int:
    """Measure, print, compare; 0 if every limit holds."""
    kind = _file_system(args.folder)
    if kind in _IN_MEMORY:
        print(f"store: {args.folder} is a {kind}, which syncs nothing; name another --folder")
        return 2
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir=args.folder) as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        figures = runner.run(_measure(Path(folder), args.rounds))
    return figures.told(kind)


def _file_system(folder: Path) -> str:
    """The kind of the one that the folder is on."""
    at = folder.resolve()
    kinds = {Path(one.mountpoint): one.fstype for one in psutil.disk_partitions(all=True)}
    return next((kinds[one] for one in (at, *at.parents) if one in kinds), "unknown")


class Figures:
    """What was taken, by number of writers and by who wrote, a value for each round."""

    def __init__(self) -> None:
        self._taken: dict[tuple[int, str], list[Taken]] = {}

    def add(self, writers: int, who: str, taken: Taken) -> None:
        """Note one round."""
        self._taken.setdefault((writers, who), []).append(taken)

    def ratio(self, writers: int, of: str) -> float | None:
        """Our rate to another's, the median of the rounds; None where that was not measured."""
        others = self._taken.get((writers, of))
        if others is None:
            return None
        pairs = zip(self._taken[writers, "store"], others, strict=True)
        return statistics.median(ours.rate / theirs.rate for ours, theirs in pairs)

    def told(self, kind: str) -> int:
        """Print everything; 0 if every limit holds."""
        for (writers, who), taken in self._taken.items():
            print(f"{writers:>2} writers, {who}: {_line(taken)}")
        if self.ratio(1, "bbolt batch") is None:
            print(f"bbolt is not measured: Go and bbolt are not here ({HOW_TO_GET_BBOLT})")
        judged = [(limit, self.ratio(limit.writers, limit.of)) for limit in LIMITS]
        measured = [(limit, ratio) for limit, ratio in judged if ratio is not None]
        wrong = [(limit, ratio) for limit, ratio in measured if ratio < limit.least]
        for limit, ratio in wrong:
            print(
                f"UNDER THE LIMIT: {limit.writers} writers are x{ratio:.2f} of {limit.of},"
                f" at least x{limit.least:g} is promised"
            )
        print(
            f"store: {kind}; {'; '.join(self._summary(writers) for writers in TRANSITIONS)};"
            f" {len(wrong)} of {len(measured)} limits broken"
        )
        return 1 if wrong else 0

    def _summary(self, writers: int) -> str:
        rate = statistics.median(one.rate for one in self._taken[writers, "store"])
        others = (who for many, who in self._taken if many == writers and who != "store")
        ratios = ", ".join(f"x{self.ratio(writers, who):.2f} of {who}" for who in others)
        return f"{writers} writers {rate:.0f}/s ({ratios})"


def _line(taken: list[Taken]) -> str:
    rate, p50, p99 = (
        statistics.median(values)
        for values in zip(*((one.rate, one.ms(0.5), one.ms(0.99)) for one in taken), strict=True)
    )
    return f"{rate:.0f} transitions/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms"


async def _measure(folder: Path, rounds: int) -> Figures:
    ours, theirs = await grouping(folder / "group.db"), await one_by_one(folder / "one.db")
    bare = Bare(folder / "bare")
    subjects: dict[str, Commit] = {
        "store": lambda work: commit(ours, work),
        "one by one": lambda work: commit(theirs, work),
        "bare": lambda work: asyncio.to_thread(bare.commit, work),
        **_bbolts(folder),
    }
    sandboxes = {
        who: [Sandbox(number, runtime="shimv2") for number in range(SANDBOXES)] for who in subjects
    }
    figures = Figures()
    with contextlib.closing(bare):
        for number in range(rounds + 1):
            for writers, who in itertools.product(TRANSITIONS, subjects):
                taken = await subjects[who](_work(who, sandboxes[who], writers))
                if number:  # The first round makes the files grow.
                    figures.add(writers, who, taken)
    await ours.close()
    await theirs.close()
    return figures


def _bbolts(folder: Path) -> dict[str, Commit]:
    program = build_bbolt(folder)
    if program is None:
        return {}

    def subject(how: str) -> Commit:
        bolt = Bbolt(program, folder / f"{how}.bbolt", how)
        return lambda work: asyncio.to_thread(bolt.commit, work)

    return {
        "bbolt batch": subject("batch"),
        "bbolt batch without intents": subject("outcome"),
        "bbolt update": subject("update"),
    }


def _work(who: str, sandboxes: list[Sandbox], writers: int) -> Work:
    """Each writer has sandboxes of its own, in turn."""
    each = _SERIAL_TRANSITIONS // writers if who in SERIAL else TRANSITIONS[writers]
    return [
        [own[turn % len(own)].transition() for turn in range(each)]
        for own in (sandboxes[writer::writers] for writer in range(writers))
    ]
