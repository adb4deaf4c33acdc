"""One timer that calls back once; arming it again takes the place of what it was armed for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Alarm:
    """Belongs to the loop that runs when it is armed."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None

    @property
    def armed(self) -> bool:
        """Whether it is going to ring."""
        return self._timer is not None

    @property
    def due_in_s(self) -> float | None:
        """When it rings; None where it is not armed."""
        if self._timer is None:
            return None
        return max(0.0, self._timer.when() - asyncio.get_running_loop().time())

    def arm(self, delay_s: float) -> None:
        """Ring after this time."""
        self.disarm()
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._due)

    def disarm(self) -> None:
        """Do not ring."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        self._ring()
