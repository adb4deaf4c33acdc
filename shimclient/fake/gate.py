"""Between a fake shim and its event publisher: where events get lost, doubled, late or mixed up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import Message

from shimclient.fake.actions import Delay, Drop, Reorder, Repeat
from shimclient.fake.failpoints import EVENTS_POINT
from shimclient.fake.points import LivePoints


@dataclass(slots=True)
class _Held:
    """An event that lets others pass first."""

    message: Message
    behind: int


class EventGate:
    """Sends events on, as the failpoint `events` says. What is held at the end is lost."""

    def __init__(self, send: Callable[[Message], None], points: LivePoints) -> None:
        self._send = send
        self._points = points
        self._held: list[_Held] = []
        self._delayed: set[asyncio.TimerHandle] = set()

    def publish(self, message: Message) -> None:
        """Send one event, or do with it what the failpoint says."""
        match self._points.next(EVENTS_POINT):
            case Drop():
                return
            case Delay(ms):
                self._send_later(message, ms / 1000)
            case Reorder(behind):
                self._held.append(_Held(message, behind))
            case Repeat(times):
                for _ in range(times + 1):
                    self._pass_on(message)
            case _:
                self._pass_on(message)

    def close(self) -> None:
        """Forget what is held or delayed."""
        self._held.clear()
        for timer in self._delayed:
            timer.cancel()
        self._delayed.clear()

    def _pass_on(self, message: Message) -> None:
        """Send it, and then those that had to let it pass."""
        self._send(message)
        for held in self._held:
            held.behind -= 1
        due = [held.message for held in self._held if held.behind <= 0]
        self._held = [held for held in self._held if held.behind > 0]
        for message_due in due:
            self._send(message_due)

    def _send_later(self, message: Message, delay_s: float) -> None:
        def due() -> None:
            self._delayed.discard(timer)
            self._pass_on(message)

        timer = asyncio.get_running_loop().call_later(delay_s, due)
        self._delayed.add(timer)
