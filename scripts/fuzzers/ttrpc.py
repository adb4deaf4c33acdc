"""Mutated ttrpc frames through the codec, the client and the server.

Valid sequences of frames are broken in their lengths, ids, types, flags, data and order, split
anywhere, and must give exactly the frames of a plain reference decoder: no crash, no hang, no
answer too many, work in proportion to the bytes, no growing memory. Every case follows from the
seed and its number, so a failure is repeated with --seed and --only.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import secrets
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FrameType
from typing import NoReturn

from scripts.fuzzers import ttrpc_frames
from scripts.fuzzers.ttrpc_checks import Violation, check_client, check_codec, check_server, split

#: How much the process may grow after its first fifth; garbage and the allocator need some of it.
GROWTH_BYTES_MAX = 16 << 20
#: One case takes under a millisecond, one with long bodies some: this only finds a hang.
CASE_S_MAX = 20
SHOWN_BYTES_MAX = 4096


@dataclass(slots=True)
class Totals:
    """What a run has done so far."""

    cases: int = 0
    frames: int = 0
    data_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """The bytes of one case, and how they arrive."""

    number: int
    frames: int
    data: bytes
    pieces: list[bytes]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `scripts/fuzz ttrpc`."""
    parser.add_argument(
        "--frames", type=_count, default=1_000_000, help="stop after so many frames"
    )
    parser.add_argument("--seed", type=int, help="repeat a run (default: a new one)")
    parser.add_argument("--only", type=int, metavar="CASE", help="run only the case of this number")


def run(args: argparse.Namespace) -> int:
    """Fuzz until there were enough frames; 0 if every promise held."""
    seed = secrets.randbits(32) if args.seed is None else args.seed
    print(f"seed {seed}")
    signal.signal(signal.SIGALRM, _hang)
    start = time.monotonic()
    try:
        totals, growth = asyncio.run(_run(seed, args.frames, args.only))
    finally:
        signal.alarm(0)
    if growth is None:
        return 1
    good = growth <= GROWTH_BYTES_MAX
    print(
        f"ttrpc: {totals.frames} frames in {totals.cases} cases, {totals.data_bytes >> 20} MiB,"
        f" {time.monotonic() - start:.0f} s,"
        f" grown {growth >> 10} KiB (limit {GROWTH_BYTES_MAX >> 10}), seed {seed}:"
        f" {'ok' if good else 'MEMORY GROWS'}"
    )
    return 0 if good else 1


async def _run(seed: int, frames: int, only: int | None) -> tuple[Totals, int | None]:
    totals = Totals()
    at_rest: int | None = None
    numbers = [only] if only is not None else range(frames)
    for number in numbers:
        if totals.frames >= frames:
            break
        if at_rest is None and totals.frames >= frames // 5:
            at_rest = _resident_bytes()
        case = make(seed, number)
        if not await _passes(case, seed):
            return totals, None
        totals.cases += 1
        totals.frames += case.frames
        totals.data_bytes += len(case.data)
    grown = 0 if at_rest is None else max(0, _resident_bytes() - at_rest)
    return totals, grown


def make(seed: int, number: int) -> Case:
    """The case of this number: the same for the same seed."""
    chance = Random(seed << 32 | number)  # noqa: S311  # Repeatable on purpose.
    frames = chance.choice((ttrpc_frames.requests, ttrpc_frames.responses))(chance)
    ttrpc_frames.mutate(frames, chance)
    if number % ttrpc_frames.LONG_CASES == 0:
        ttrpc_frames.lengthen(frames, chance)
    data = b"".join(frame.pack() for frame in frames)
    if not chance.randrange(10):
        data = data[: chance.randint(0, len(data))]
    return Case(number, len(frames), data, split(data, chance))


async def check(case: Case) -> None:
    """Run one case through codec, server and client. Raises Violation, or whatever broke."""
    items, boundary = check_codec(case.data, case.pieces)
    await check_server(items, case.pieces, boundary=boundary)
    await check_client(items, case.pieces)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least one frame is needed to show anything")
    return number


async def _passes(case: Case, seed: int) -> bool:
    signal.alarm(CASE_S_MAX)
    try:
        await check(case)
    except Exception as error:  # noqa: BLE001  # Whatever it is: it is what we look for.
        kind = "" if isinstance(error, Violation) else f"{type(error).__name__}: "
        print(f"the bytes, {len(case.data)} in {len(case.pieces)} pieces, the first of them:")
        print(case.data[:SHOWN_BYTES_MAX].hex())
        print(f"again: scripts/fuzz ttrpc --seed {seed} --only {case.number}")
        print(f"ttrpc: case {case.number} of seed {seed} failed: {kind}{error}")
        return False
    return True


def _hang(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Violation(f"a case took over {CASE_S_MAX} s")


def _resident_bytes() -> int:
    gc.collect()
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
