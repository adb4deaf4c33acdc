"""Notices that time has jumped: the process was stopped, or somebody has set the wall clock.

Neither changes a decision, since durations are monotonic; but whatever happened meanwhile may have
been missed, so both are a reason to look at every sandbox at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from cubelet.core.model import Now
from cubelet.engine.ports import Clock

BEAT_S = 2.0
#: Far above what a busy machine delays a beat by, far below what matters.
JUMP_S = 2.0


async def watch_clocks(clock: Clock, jumped: Callable[[str], None]) -> None:
    """Call `jumped` with the reason, for each jump, for ever."""
    before = clock.now()
    while True:
        await asyncio.sleep(BEAT_S)
        now = clock.now()
        reason = _jump(before, now)
        if reason:
            jumped(reason)
        before = now


def _jump(before: Now, now: Now) -> str:
    passed_s = now.mono_s - before.mono_s
    by_wall_s = (now.wall_ns - before.wall_ns) / 1e9
    if passed_s > BEAT_S + JUMP_S:
        return f"the agent stood still for {passed_s - BEAT_S:.0f} s"
    if abs(by_wall_s - passed_s) > JUMP_S:
        return f"the wall clock jumped by {by_wall_s - passed_s:.0f} s"
    return ""
