"""Hints: something suggests a look at one sandbox, and one look a moment later follows them all."""

from __future__ import annotations

from collections.abc import Callable

from cubelet.core.inputs import Cause
from cubelet.core.model import Call, Record, State
from cubelet.engine.alarm import Alarm

#: An event of our own operation comes about with its answer, and until that is on disk a look
#: would only get in its way.
DELAY_S = 0.05


class Hints:
    """Gathers hints; `look` is called with the last one's cause, unless they told no news."""

    def __init__(
        self, *, record: Callable[[], Record | None], look: Callable[[Cause], None]
    ) -> None:
        self._record = record
        self._look = look
        self._alarm = Alarm(self.follow)
        self._cause: Cause | None = None
        self._told: State | None = None

    def take(self, cause: Cause, told: State | None) -> None:
        """Note one. `told` is the state that it speaks of, None where it names none.

        Where the view says the same when its time comes, as it does after an operation of our own,
        there is nothing to look at.
        """
        self._told = told if self._cause is None or told is self._told else None
        self._cause = cause
        if not self._alarm.armed:
            self._alarm.arm(DELAY_S)

    def follow(self) -> None:
        """Look if it is time, unless a call is in flight: its end is to bring us here again."""
        record = self._record()
        op = record.open if record else None
        in_flight = op is not None and op.call is Call.IN_FLIGHT
        if self._cause is None or self._alarm.armed or in_flight:
            return
        cause, self._cause = self._cause, None
        settled = record.state if record and op is None else None
        if self._told is None or self._told is not settled:
            self._look(cause)
