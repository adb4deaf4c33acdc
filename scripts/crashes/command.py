"""The command line of scripts/crash."""

from __future__ import annotations

import argparse
import os
import time

from scripts.crashes import damage, failures, kills, power
from tests.crash.census import census


def main() -> int:
    """0 where every promise held, 1 where one broke, 2 for a wrong command line."""
    args = _parse()
    if args.list:
        return _list()
    seed = time.time_ns() % 1_000_000 if args.seed is None else args.seed
    if args.power:
        return power.run(args.power, seed)
    if args.corrupt:
        return damage.run(args.corrupt, seed)
    if args.failures:
        return failures.run()
    return kills.run(args.kills, seed, sandboxes=args.sandboxes, jobs=args.jobs)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/crash", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", action="store_true", help="print all crash points of the code")
    what.add_argument("--kills", type=_count, metavar="N", help="kill the agent so often")
    what.add_argument("--power", type=_count, metavar="N", help="cut the power so often")
    what.add_argument("--corrupt", type=_count, metavar="N", help="cut and spoil files so often")
    what.add_argument(
        "--failures", action="store_true", help="let each call of the operating system fail"
    )
    parser.add_argument("--seed", type=int, help="of what is drawn (default: another each time)")
    parser.add_argument(
        "--sandboxes",
        type=int,
        default=1000,
        metavar="N",
        help="with --kills: restart once with so many at the end (default 1000; 0: do not)",
    )
    parser.add_argument(
        "--jobs",
        type=_count,
        default=os.cpu_count() or 1,
        help="with --kills: agents at a time (default: one a core)",
    )
    return parser.parse_args()


def _list() -> int:
    for point in census():
        print(f"{point.name:<28} cubelet/{point.file}:{point.line}")
    return 0


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number
