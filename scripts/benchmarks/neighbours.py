"""What a sandbox suffers from others that hang, and what comes of very many requests at once.

One agent process with many sandboxes, each with a fake shim process of its own. First some callers
pause and resume sandboxes in turn while all is calm. Then others are made to hang, half of them by
stopping the shim and half by a VM that never ends its pause, each with a pause under way; and the
same callers go on, long enough for the calls that hang to go over their deadline. The list is asked
for all the while. In the end the stopped shims go on, and the agent has to say of every sandbox
what its VM does.

With --operations there is a storm instead: so many requests, mixed at random, are sent at once, and
each is repeated until its answer is final.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.crowd import PATIENCE_S, Crowd, names
from tests.support.polling import until
from tests.support.storm import storm

#: How much slower the slowest hundredth of the others' pauses may get.
RATIO_MAX = 2.0
LIST_MS_MAX = 100.0
_LIST_EVERY_S = 0.1
_WARM_UP_S = 3.0
#: Over the deadline of the calls that hang, which is 30 s, so that both times are in it.
PHASE_S = 45.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `scripts/bench neighbours`."""
    parser.add_argument("--sandboxes", type=int, default=1000, help="sandboxes (default 1000)")
    parser.add_argument("--hung", type=int, default=100, help="of which hang (default 100)")
    parser.add_argument(
        "--callers", type=int, default=16, help="who pause and resume in turn (default 16)"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=PHASE_S,
        metavar="S",
        help=f"how long to measure calm, and how long beside hung ones (default {PHASE_S:g})",
    )
    parser.add_argument(
        "--operations",
        type=int,
        default=0,
        metavar="N",
        help="send N requests at once instead, spread evenly over the sandboxes",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the requests (default 1)")


def run(args: argparse.Namespace) -> int:
    """Measure, print, compare; 0 if what was promised holds."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        return asyncio.run(_run(Path(folder), args))


async def _run(folder: Path, args: argparse.Namespace) -> int:
    crowd = Crowd(folder)
    try:
        await crowd.open()
        empty = crowd.census()
        ids = names(args.sandboxes)
        begun_s = time.perf_counter()
        await crowd.create(ids)
        print(f"created {len(ids)} sandboxes in {time.perf_counter() - begun_s:.1f} s;", end=" ")
        print(_memory(crowd))
        if args.operations:
            wrong = await _storm(crowd, ids, each=args.operations // len(ids), seed=args.seed)
        else:
            wrong = await _neighbours(crowd, ids, args)
        await crowd.each(crowd.delete, list(await crowd.states()))
        full, crowded = crowd.census(), len(await crowd.states())
        if full != empty or crowded:
            wrong.append(f"after all deletes {crowded} sandboxes, {full} instead of {empty}")
    finally:
        await crowd.close()
    for one in wrong:
        print(f"WRONG: {one}")
    return 1 if wrong else 0


def _memory(crowd: Crowd) -> str:
    processes = crowd.processes()
    used = sum(process.memory_full_info().pss for process in processes) / (1 << 20)
    return f"{len(processes)} processes with {used:.0f} MiB, {crowd.census().files} files open"


@dataclass
class Times:
    """Seconds that calls took, by what they were."""

    taken_s: dict[str, list[float]] = field(default_factory=dict)
    #: What the agent's process used meanwhile.
    agent_cpu_s: float = 0.0

    def add(self, name: str, begun_s: float) -> None:
        """Note what has passed since then."""
        self.taken_s.setdefault(name, []).append(time.perf_counter() - begun_s)

    def p99_ms(self, name: str) -> float:
        """What all but the slowest hundredth stay below."""
        ordered = sorted(self.taken_s[name])
        return 1000 * ordered[int(0.99 * (len(ordered) - 1))]

    def line(self) -> str:
        """Count, median and 99th percentile of each, and the agent's work, for people."""
        calls = sum(len(taken_s) for taken_s in self.taken_s.values())
        told = "; ".join(
            f"{name} x{len(taken_s)} p50 {1000 * statistics.median(taken_s):.2f} ms"
            f" p99 {self.p99_ms(name):.2f} ms"
            for name, taken_s in sorted(self.taken_s.items())
        )
        return f"{told}; agent's CPU {1000 * self.agent_cpu_s / calls:.2f} ms a call"


async def _neighbours(crowd: Crowd, ids: Sequence[str], args: argparse.Namespace) -> list[str]:
    hung: int = args.hung
    stopped, held, others = ids[: hung // 2], ids[hung // 2 : hung], ids[hung:]
    callers = [others[first :: args.callers] for first in range(args.callers)]
    await _drive(crowd, callers, _WARM_UP_S)
    calm = await _drive(crowd, callers, args.seconds)
    print(f"calm: {calm.line()}")
    await crowd.hang(stopped=stopped, held=held)
    beside = await _drive(crowd, callers, args.seconds)
    print(f"beside {hung} hung: {beside.line()}")
    crowd.wake()
    await until(
        lambda: _none_differs(crowd, [*stopped, *others]),
        what="the list says of each sandbox what its VM does",
        within_s=PATIENCE_S,
    )
    return _judged(calm, beside, hung=hung)


def _judged(calm: Times, beside: Times, *, hung: int) -> list[str]:
    ratios = {name: beside.p99_ms(name) / calm.p99_ms(name) for name in ("pause", "resume")}
    list_ms = beside.p99_ms("list")
    told = ", ".join(f"{name} p99 x{ratio:.2f}" for name, ratio in ratios.items())
    print(
        f"neighbours: beside {hung} hung {told} (limit x{RATIO_MAX:g}),"
        f" list p99 {list_ms:.1f} ms (limit {LIST_MS_MAX:g} ms)"
    )
    wrong = [
        f"{name} is {ratio:.2f} times as slow"
        for name, ratio in ratios.items()
        if ratio > RATIO_MAX
    ]
    if list_ms > LIST_MS_MAX:
        wrong.append(f"the list takes {list_ms:.1f} ms")
    return wrong


async def _drive(crowd: Crowd, callers: Sequence[Sequence[str]], seconds: float) -> Times:
    """Have each caller pause and resume its sandboxes in turn, and list, for so long."""
    times = Times()
    begun_cpu_s = _cpu_s(crowd)
    end_s = time.perf_counter() + seconds
    await asyncio.gather(
        _list(crowd, times, end_s), *(_call(crowd, ids, times, end_s) for ids in callers)
    )
    times.agent_cpu_s = _cpu_s(crowd) - begun_cpu_s
    return times


def _cpu_s(crowd: Crowd) -> float:
    used = psutil.Process(crowd.agent.pid).cpu_times()
    return float(used.user + used.system)


async def _call(crowd: Crowd, ids: Sequence[str], times: Times, end_s: float) -> None:
    for name in itertools.cycle(ids):
        if time.perf_counter() > end_s:
            return
        for verb, act in (("pause", crowd.pause), ("resume", crowd.resume)):
            begun_s = time.perf_counter()
            await act(name)
            times.add(verb, begun_s)


async def _list(crowd: Crowd, times: Times, end_s: float) -> None:
    while time.perf_counter() < end_s:
        begun_s = time.perf_counter()
        await crowd.page()
        times.add("list", begun_s)
        await asyncio.sleep(_LIST_EVERY_S)


async def _none_differs(crowd: Crowd, ids: Sequence[str]) -> bool:
    return not await crowd.differences(ids)


async def _storm(crowd: Crowd, ids: Sequence[str], *, each: int, seed: int) -> list[str]:
    begun_s = time.perf_counter()
    async with asyncio.timeout(2 * PATIENCE_S):
        outcome = await storm(crowd, ids, each=each, seed=seed)
    took_s = time.perf_counter() - begun_s
    repeats = ", ".join(f"{count} for code {code}" for code, count in outcome.again.items())
    ends = ", ".join(f"{count} {verb}" for verb, count in sorted(outcome.done.items()))
    differences = await crowd.differences(ids)
    print(
        f"neighbours: {outcome.done.total()} requests at once on {len(ids)} sandboxes ended in"
        f" {took_s:.1f} s ({ends}); repeated: {repeats or 'none'};"
        f" {len(outcome.violations)} wrong answers, {len(differences)} wrong states"
    )
    return [*outcome.violations[:10], *differences[:10]]
