"""The hooks before a pause: all at once, under one cap, and none of them can stop it."""

from __future__ import annotations

import asyncio

import structlog

from cubelet.core.model import Record
from cubelet.core.spec import HttpHook
from cubelet.engine.ports import Hooks

_log = structlog.get_logger("cubelet.prestop")


async def run_prestop(record: Record, hooks: Hooks, *, limit_s: float) -> None:
    """Run them and return when they have ended, or the time is over."""
    wanted = [hook for hook in record.spec.prestop if hook.timeout_s > 0]
    if not wanted:
        return
    try:
        async with asyncio.timeout(limit_s), asyncio.TaskGroup() as group:
            for hook in wanted:
                group.create_task(_run(record, hooks, hook))
    except TimeoutError:
        _log.warning("prestop_overdue", sandbox=record.id, hooks=len(wanted))


async def _run(record: Record, hooks: Hooks, hook: HttpHook) -> None:
    fault = await hooks.run(hook, kind="pause")
    if fault is not None:
        _log.warning("prestop_failed", sandbox=record.id, reason=fault.message)
