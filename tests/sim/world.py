"""What every part of a simulated world shares: clock, dice, faults, trace, and the judge."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, TypeVarTuple

from cubelet.core.model import Now
from tests.sim.faults import Swarm
from tests.sim.loop import SimLoop
from tests.sim.trace import Trace

if TYPE_CHECKING:
    from tests.sim.checkers import Judge

Ts = TypeVarTuple("Ts")

#: Work that is still under way when the faults end is done so soon after.
CALM_WITHIN_S = 0.5
_EPOCH_NS = 1_700_000_000 * 10**9


class World:
    """One run's surroundings. `calm_at_s` is when all faults end; it is known from the start."""

    judge: Judge

    def __init__(
        self, *, rng: Random, swarm: Swarm, trace: Trace, loop: SimLoop, calm_at_s: float
    ) -> None:
        self.rng = rng
        self.swarm = swarm
        self.trace = trace
        self.loop = loop
        self.calm_at_s = calm_at_s
        #: Of the world, not of the agent that happens to run.
        self.context = contextvars.copy_context()
        self.wall_offset_ns = 0
        #: The host had been up for a while when the run began.
        self.booted_at_s = -100.0
        self.boot = 1

    @property
    def boot_id(self) -> str:
        """What the kernel calls the time since the host's last start."""
        return f"boot{self.boot}"

    def reboot(self) -> None:
        """The host starts anew, and its monotonic clock with it."""
        self.boot += 1
        self.booted_at_s = self.now_s

    @property
    def now_s(self) -> float:
        """True time since the run began, which nobody in it can see."""
        return self.loop.now_s

    def after(self, delay_s: float, work: Callable[[*Ts], object], *args: *Ts) -> None:
        """Do something later, whatever becomes of the agent meanwhile."""
        self.loop.call_later(delay_s, work, *args, context=self.context)

    def work_time(self, delay_s: float) -> float:
        """How long something takes that the calm cuts short."""
        left_s = max(0.0, self.calm_at_s - self.now_s)
        if delay_s <= left_s:
            return delay_s
        return left_s + min(delay_s - left_s, self.rng.uniform(0.01, CALM_WITHIN_S))

    def note(self, text: str) -> None:
        """One line of the trace."""
        self.trace.add(self.now_s, text)


class WorldClock:
    """Implements ports.Clock: the wall may be set, the monotonic clock begins anew at each boot."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> Now:
        """Both clocks."""
        world = self._world
        wall_ns = _EPOCH_NS + int(world.now_s * 1e9) + world.wall_offset_ns
        return Now(wall_ns=max(0, wall_ns), mono_s=world.now_s - world.booted_at_s)


class Counted:
    """Implements ports.Ids and ports.Chance: names are counted, chance is the run's."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._given = 0

    def new_id(self) -> str:
        """1, 2, 3 … as 32 hex characters; unique over all lives of the agent."""
        self._given += 1
        return f"{self._given:032x}"

    def fraction(self) -> float:
        """At least 0, less than 1."""
        return self._rng.random()
