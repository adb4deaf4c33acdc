"""One call of a fake shim, from its failpoint to its answer: time passes, errors are made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TypeVar

from shimclient.errors import error_from_status
from shimclient.fake.actions import Action, Crash, Delay, Error, Hang, Late, Lost

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Operation:
    """What a call is up against: its failpoint's action and how long it takes."""

    action: Action
    takes_s: float
    crash: Callable[[], None]

    async def run(
        self,
        holding: AbstractAsyncContextManager[object],
        effect: Callable[[], T],
        *,
        check: Callable[[], object] | None = None,
    ) -> T:
        """Have the effect while holding the VM, unless the failpoint says otherwise; its result.

        `check` refuses a wrong state before any time is spent; the effect checks again.
        """
        if isinstance(self.action, Delay):
            await asyncio.sleep(self.action.ms / 1000)
        if isinstance(self.action, Crash):
            self.crash()
            await _for_ever()
        async with holding:
            await self._before(check)
            result = effect()
        await self._after()
        return result

    async def _before(self, check: Callable[[], object] | None) -> None:
        match self.action:
            case Error(code, text, after=False):
                raise error_from_status(code, text)
            case Hang():
                await _for_ever()
        if check is not None:
            check()
        late_s = self.action.ms / 1000 if isinstance(self.action, Late) else 0.0
        if self.takes_s + late_s > 0:
            await asyncio.sleep(self.takes_s + late_s)

    async def _after(self) -> None:
        match self.action:
            case Error(code, text, after=True):
                raise error_from_status(code, text)
            case Lost():
                await _for_ever()


async def _for_ever() -> None:
    await asyncio.Event().wait()
