"""The real clock and the real source of names; tests bring their own."""

from __future__ import annotations

import os
import random
import time

from cubelet.core.model import Now


class SystemClock:
    """Implements ports.Clock. The one place of the agent that reads the wall clock."""

    def now(self) -> Now:
        """Both clocks at this instant."""
        return Now(wall_ns=time.time_ns(), mono_s=time.monotonic())


class RandomChance:
    """Implements ports.Chance. Nothing secret hangs on it."""

    def fraction(self) -> float:
        """At least 0, less than 1."""
        return random.random()  # noqa: S311 - it only keeps timers out of step.


class RandomIds:
    """Implements ports.Ids with random names."""

    def new_id(self) -> str:
        """32 lower-case hex characters, as masters expect of a sandbox id."""
        return os.urandom(16).hex()
