"""One look over the host, by all runtimes: what lies here, whoever owns it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from cubelet.core.faults import Code, Reason, error
from cubelet.engine.ports import Runtime, Trace

#: How long it may take. Over 10,000 sandboxes it takes a third of a second.
LOOK_TIMEOUT_S: Final = 20.0


async def look_over(
    runtimes: Mapping[str, Runtime], *, but: Collection[str] = ()
) -> Sequence[tuple[Runtime, Trace]]:
    """All traces but those with these ids, each with the runtime that tells of it.

    CubeletError (UNAVAILABLE) where the host cannot be looked over in full.
    """
    asked = list(runtimes.values())
    try:
        async with asyncio.timeout(LOOK_TIMEOUT_S):
            told = await asyncio.gather(*(runtime.traces(but) for runtime in asked))
    except (OSError, TimeoutError) as blind:
        what = str(blind) or f"it took longer than {LOOK_TIMEOUT_S:g} s"
        message = f"this host cannot be looked over: {what}; try again"
        raise error(Code.UNAVAILABLE, Reason.RUNTIME_UNREACHABLE, message) from blind
    return [(runtime, trace) for runtime, found in zip(asked, told, strict=True) for trace in found]
