"""The command line of scripts/sim."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from scripts.sims import mutants, table
from scripts.sims.many import Totals, run_many
from tests.sim.faults import KINDS
from tests.sim.mutants import MUTANTS
from tests.sim.runner import Options, run
from tests.sim.shrink import shrink

ROOT = Path(__file__).resolve().parents[2]
#: Failing seeds that are cut down and printed whole; of the others there is a line.
SHOWN_MAX = 3
LINES_MAX = 120
PROGRESS_S = 30.0


def main() -> int:
    """0 where every promise held, 1 where one broke, 2 for a wrong command line."""
    args = _parse()
    if args.mutants:
        return mutants.main(args.only or list(MUTANTS), seeds=args.seeds, jobs=args.jobs)
    if args.seed is not None:
        return _one(args.seed, trace=args.trace)
    return _many(args)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/sim", description=__doc__)
    parser.add_argument("--seeds", type=_count, default=2000, help="how many (default: 2000)")
    parser.add_argument("--start", type=int, default=1, help="the first seed (default: 1)")
    parser.add_argument(
        "--jobs", type=_count, default=os.cpu_count() or 1, help="processes (default: one a core)"
    )
    parser.add_argument("--table", action="store_true", help="print how long operations stay open")
    parser.add_argument("--counts", action="store_true", help="print how often each fault came")
    parser.add_argument("--seed", type=int, help="run this one only")
    parser.add_argument("--trace", action="store_true", help="print what happened; with --seed")
    parser.add_argument(
        "--mutants", action="store_true", help="plant faults, and find each within the seeds"
    )
    parser.add_argument(
        "--only", action="append", choices=MUTANTS, metavar="NAME", help="this mutant only"
    )
    args = parser.parse_args()
    if args.only and not args.mutants:
        parser.error("--only needs --mutants")
    if args.trace and args.seed is None:
        parser.error("--trace needs --seed")
    return args


def _one(seed: int, *, trace: bool) -> int:
    result = run(seed, Options(keep_trace=trace))
    if trace:
        print("\n".join(result.lines))
    for violation in result.violations:
        print(f"seed {seed}: {violation}")
    print(
        f"sim: seed {seed}, {result.virtual_s:.0f} virtual seconds, trace {result.hash}:"
        f" {'BROKEN' if result.violations else 'ok'}"
    )
    return 1 if result.violations else 0


def _many(args: argparse.Namespace) -> int:
    begin = time.monotonic()
    totals = run_many(args.start, args.seeds, jobs=args.jobs, progress=_Progress(args.seeds))
    took_s = time.monotonic() - begin
    for number, (seed, violation) in enumerate(sorted(totals.broken.items())):
        print(f"seed {seed} (commit {_commit()}): {violation}")
        if number < SHOWN_MAX:
            _show_shrunk(seed)
    if args.counts:
        for name, count in sorted(totals.faults.items(), key=lambda kind: (-kind[1], kind[0])):
            print(f"{count:9d} {name}")
    too_long = table.show(totals.times) if args.table else False
    never = sorted(set(KINDS) - set(totals.faults))
    if never:
        print(f"kinds that never came: {', '.join(never)}")
    print(_summary(args, totals, took_s))
    return 1 if totals.broken or too_long else 0


class _Progress:
    """A line on stderr now and then, for runs that take long."""

    def __init__(self, seeds: int) -> None:
        self._seeds = seeds
        self._told_s = time.monotonic()

    def __call__(self, done: int, totals: Totals) -> None:
        if time.monotonic() - self._told_s >= PROGRESS_S:
            self._told_s = time.monotonic()
            print(f"{done} of {self._seeds} seeds, {len(totals.broken)} broken", file=sys.stderr)


def _show_shrunk(seed: int) -> None:
    shrunk = shrink(seed)
    kept = shrunk.result.acts - len(shrunk.options.cut)
    print(f"  cut down in {shrunk.runs} runs to {kept} of {shrunk.result.acts} acts:")
    lines = shrunk.result.lines
    if len(lines) > LINES_MAX:
        print(f"  … {len(lines) - LINES_MAX} lines before")
    for line in lines[-LINES_MAX:]:
        print(f"  {line}")


def _summary(args: argparse.Namespace, totals: Totals, took_s: float) -> str:
    verdict = f"{len(totals.broken)} BROKEN" if totals.broken else "ok"
    return (
        f"sim: {args.seeds} seeds from {args.start}, {len(totals.broken)} violations,"
        f" {len(totals.faults)} kinds of faults came {sum(totals.faults.values())} times,"
        f" {totals.sandbox_s / 86400:.1f} sandbox-days, {took_s:.0f} s,"
        f" {args.seeds / took_s * 60:.0f} seeds a minute ({args.jobs} jobs): {verdict}"
    )


def _commit() -> str:
    """What was run; with + where files differ from it."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number
