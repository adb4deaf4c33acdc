"""Shims' events, as hints to the engine: which sandbox to look at, and nothing more."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

import structlog

from cubelet.core.faults import Code, Reason, error
from cubelet.core.inputs import Cause
from cubelet.core.model import State
from shimclient.events import EventsServer, TaskEvent

_log = structlog.get_logger("cubelet.events")

#: What a topic is to the engine: the cause of a look, and the state that it speaks of, if of one
#: that can be compared. Of whatever else a shim tells, the agent is the cause itself.
MEANINGS: Final[Mapping[str, tuple[Cause, State | None]]] = {
    "/tasks/paused": (Cause.EVENT, State.PAUSED),
    "/tasks/resumed": (Cause.EVENT, State.RUNNING),
    "/tasks/exit": (Cause.EXIT, None),
    "/tasks/oom": (Cause.EXIT, None),
}
#: sun_path less its closing NUL (unix(7)).
_PATH_BYTES_MAX: Final = 107


class Hint(Protocol):
    """Takes a hint, as `Engine.hint` does: must not wait, and is given strangers' ids too."""

    def __call__(self, sandbox_id: str, cause: Cause, *, told: State | None) -> None:
        """Something happened to this sandbox."""


class EventPump:
    """Receives the events of all shims and hints at those that matter.

    `gap` is called with the reason when events were lost here: whatever they told of has to be
    looked for.
    """

    def __init__(
        self,
        path: Path,
        hint: Hint,
        gap: Callable[[str], None] = lambda _: None,
        *,
        queue_max: int = 4096,
    ) -> None:
        self._path = path
        self._hint = hint
        self._gap = gap
        self._missed = 0
        self._server = EventsServer(queue_max=queue_max)
        self._pumping: asyncio.Task[None] | None = None

    @property
    def received(self) -> int:
        """How many events came, wanted or not."""
        return self._server.received

    @property
    def dropped(self) -> int:
        """How many were lost because the queue was full."""
        return self._server.dropped

    async def start(self) -> None:
        """Listen, and begin to hint. Raises CubeletError where the path cannot be a socket's."""
        excess = len(os.fsencode(self._path)) - _PATH_BYTES_MAX
        if excess > 0:
            message = f"{self._path} is {excess} bytes too long for a socket; shorten the state_dir"
            raise error(Code.INVALID_ARGUMENT, Reason.BAD_REQUEST, message)
        self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        await self._server.serve_path(str(self._path))
        self._pumping = asyncio.create_task(self._pump(), name="events")

    async def close(self) -> None:
        """Stop listening."""
        if self._pumping is not None:
            self._pumping.cancel()
            await asyncio.gather(self._pumping, return_exceptions=True)
        await self._server.close()

    async def _pump(self) -> None:
        while True:
            event = await self._server.next()
            self._note_gap()
            if wanted(event):
                cause, told = MEANINGS[event.topic]
                try:
                    self._hint(event.container_id, cause, told=told)
                except Exception:  # noqa: BLE001 - the next event's sandbox has nothing to do with this one's.
                    _log.exception("hint_failed", sandbox=event.container_id, topic=event.topic)

    def _note_gap(self) -> None:
        lost = self._server.dropped - self._missed
        if lost:
            self._missed += lost
            self._gap(f"{lost} events of shims were lost, the queue was full")


def wanted(event: TaskEvent) -> bool:
    """Whether it is about a sandbox itself, and not about a process that was added to it."""
    return event.topic in MEANINGS and not event.exec_id
