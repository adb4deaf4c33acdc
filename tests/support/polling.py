"""Waiting for another process, where nothing can be awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def eventually(condition: Callable[[], bool], *, what: str, within_s: float = 10.0) -> None:
    """Return when the condition holds; fail where it does not `within_s` seconds."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + within_s
    while not condition():
        if loop.time() > end_s:
            raise AssertionError(f"not within {within_s} s: {what}")
        await asyncio.sleep(0.01)


async def until(
    condition: Callable[[], Awaitable[bool]], *, what: str, within_s: float = 20.0
) -> None:
    """As `eventually`, for a condition that has to be asked for."""
    try:
        async with asyncio.timeout(within_s):
            while not await condition():  # noqa: ASYNC110 - another process cannot set an Event.
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {within_s} s: {what}") from None
