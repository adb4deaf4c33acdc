"""`run(seed)`: one run, whole, with everything that it showed."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

from tests.sim import script
from tests.sim.checkers.settling import Times
from tests.sim.dice import dice_of
from tests.sim.faults import Swarm
from tests.sim.loop import Deadlock, SimLoop
from tests.sim.scene import Scene
from tests.sim.status import AdapterBug
from tests.sim.trace import Trace
from tests.sim.world import World

#: Lines of the log that only a bug writes.
_BUGS = frozenset({"decision_broken", "task_crashed", "loop_crashed", "adapter_bug"})


@dataclass(frozen=True, slots=True)
class Options:
    """What to leave out of a run, and whether to keep its lines."""

    without: frozenset[str] = frozenset()
    cut: frozenset[int] = frozenset()
    keep_trace: bool = False


@dataclass(slots=True)
class Result:
    """What came of it. `acts` is how many were planned."""

    seed: int
    violations: list[str]
    hash: str
    faults: Counter[str]
    lines: list[str] = field(default_factory=list)
    acts: int = 0
    virtual_s: float = 0.0
    sandbox_s: float = 0.0
    steps: int = 0
    times: Times = field(default_factory=Times)


def run(seed: int, options: Options | None = None) -> Result:
    """Play the run of this seed; the same seed and options give the same result, to the line."""
    options = options or Options()
    rng = dice_of(seed)
    swarm = Swarm(dice_of(rng.getrandbits(64)), without=options.without)
    plan = script.write(dice_of(rng.getrandbits(64)), swarm)
    planned = len(plan.acts)
    plan = script.without(plan, options.cut)
    loop = SimLoop()
    loop.set_exception_handler(_ignore)
    trace = Trace(keep=options.keep_trace)
    world = World(rng=rng, swarm=swarm, trace=trace, loop=loop, calm_at_s=plan.chaos_s)
    scene = Scene(world, plan)
    with _watched(world):
        _play(loop, scene)
    return Result(
        seed=seed,
        violations=list(world.judge.violations),
        hash=trace.hash,
        faults=swarm.counts,
        lines=trace.lines,
        acts=planned,
        virtual_s=loop.now_s,
        sandbox_s=loop.now_s * plan.slots,
        steps=loop.steps,
        times=world.judge.settling.times,
    )


def _play(loop: SimLoop, scene: Scene) -> None:
    main = loop.create_task(scene.play())
    main.add_done_callback(lambda _: loop.stop())
    try:
        loop.run_forever()
    except Deadlock:
        scene.world.judge.broken("I22 everything waits for something that cannot come")
    if main.done() and not main.cancelled():
        main.result()
    _end(loop, scene, main)


def _ignore(_loop: object, _context: object) -> None:
    """A killed agent leaves answers that nobody fetches; what a living one breaks, it logs."""


def _end(loop: SimLoop, scene: Scene, main: asyncio.Task[None]) -> None:
    """Let nothing of the run outlive it."""
    scene.agent.exhume()
    main.cancel()
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        task.cancel()
    loop._ready.clear()
    loop._scheduled.clear()
    loop.close()


@contextmanager
def _watched(world: World) -> Iterator[None]:
    """The agent's log is silent but for the lines that only a bug writes; no collector's pauses."""

    def notice(_logger: object, _method: str, event: Any) -> Any:
        planned = isinstance(event.get("exc_info"), AdapterBug)
        if event.get("event") in _BUGS and not planned:
            world.judge.broken(f"BUG {event['event']}: {event.get('exc_info')!r}")
        raise structlog.DropEvent

    kept = structlog.get_config()
    collecting = gc.isenabled()
    structlog.configure(
        processors=[notice],
        wrapper_class=structlog.make_filtering_bound_logger(40),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    gc.disable()
    try:
        yield
    finally:
        structlog.configure(**kept)
        if collecting:
            gc.enable()
