"""The round over all sandboxes: each of them once in a period, spread out, and all at once on need.

Relist and dead-GC sweeper are one: what the round does to a sandbox is the core's decision.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from cubelet.engine.ports import Clock

_log = structlog.get_logger("cubelet.rounds")

#: Into how many slots a round is cut. A sandbox keeps its slot, so that its ticks are a period
#: apart whoever comes and goes.
_SLOTS = 20


class Tickable(Protocol):
    """What a round goes over."""

    id: str

    def tick(self) -> None:
        """Take notice; never waits."""
        ...


class Rounds:
    """One for the engine; `all_of` gives whom there is to tick now."""

    def __init__(
        self, *, all_of: Callable[[], Sequence[Tickable]], clock: Clock, period_s: float
    ) -> None:
        self._all_of = all_of
        self._clock = clock
        self._period_s = period_s
        self._ended_mono_s = clock.now().mono_s
        self.extra = 0

    @property
    def age_s(self) -> float:
        """How long ago a round has ended; far above the period, the agent is blind."""
        return self._clock.now().mono_s - self._ended_mono_s

    @property
    def next_in_s(self) -> float:
        """By when every sandbox has had its turn again, at the latest."""
        return max(0.0, self._period_s - self.age_s)

    def at_once(self, reason: str) -> None:
        """Tick everybody now: something may have been missed."""
        self.extra += 1
        everybody = self._all_of()
        _log.info("relist", reason=reason, sandboxes=len(everybody))
        for one in everybody:
            one.tick()

    async def run(self) -> None:
        """Go round for ever."""
        while True:
            await self._go_round()
            self._ended_mono_s = self._clock.now().mono_s

    async def _go_round(self) -> None:
        for slot in range(_SLOTS):
            for one in self._all_of():
                if zlib.crc32(one.id.encode()) % _SLOTS == slot:
                    one.tick()
            await asyncio.sleep(self._period_s / _SLOTS)
