"""Ending whole trees: SIGKILL in rounds, until a look shows nobody alive."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Final

from cubelet.shims.process.identity import Identity, send

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

KILL_S_MAX: Final = 10.0
ROUNDS_MAX: Final = 5000
_DELAY_S_FIRST: Final = 0.0002
_DELAY_S_MAX: Final = 0.02


async def kill_until_none(find: Callable[[], Iterable[Identity]]) -> tuple[Identity, ...]:
    """Kill what `find` finds until it finds nothing; what is left after KILL_S_MAX or ROUNDS_MAX.

    A process that others started while being hunted is found by the next look. Processes of another
    user, which we may not kill, are left too.
    """
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + KILL_S_MAX
    before: frozenset[Identity] = frozenset()
    delay_s = _DELAY_S_FIRST
    for _ in range(ROUNDS_MAX):
        found = tuple(find())
        if not found or loop.time() >= give_up_at:
            return found
        for identity in found:
            signal_if_allowed(identity, signal.SIGKILL)
        grew = not before.issuperset(found)
        before = frozenset(found)
        delay_s = 0.0 if grew else min(max(delay_s * 2, _DELAY_S_FIRST), _DELAY_S_MAX)
        await asyncio.sleep(delay_s)
    return tuple(find())


def signal_if_allowed(identity: Identity, number: int) -> bool:
    """Signal one of many; False where it is gone or not ours to signal."""
    try:
        return send(identity, number)
    except PermissionError:
        return False
