"""The agent is killed at every crash point and at random moments, and must have lost nothing."""

from __future__ import annotations

import asyncio
import random
import resource
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.kinds import SHIMV2
from cubelet.runtime.probe import probe
from scripts.crashes import thousand
from scripts.crashes.campaign import Campaign
from scripts.crashes.host_scenes import template
from scripts.crashes.thousand import Restart

_FILES_MAX: Final = 65536


def run(kills: int, seed: int, *, sandboxes: int, jobs: int) -> int:
    """Kill so often, then restart with so many sandboxes; 1 where anything was not as promised."""
    _allow_files()
    begin_s = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="crash-"))
    containers = _containers_work(home)
    if not containers:
        print("no real containers here (they need root, runc and its shim): processes instead")
    campaign = Campaign(seed, home, containers, jobs)
    restarted: list[Restart] = []
    asyncio.run(_all_of(campaign, kills, sandboxes, restarted))
    for point in campaign.missing():
        campaign.failures.append(point)
        print(f"FAILED: seed {seed}: nothing led to the crash point {point}")
    if campaign.failures:
        print(f"the agents' logs are in {home}")
    else:
        shutil.rmtree(home)
    print(_summary(campaign, restarted, kills=kills, took_s=time.monotonic() - begin_s))
    return 1 if campaign.failures else 0


async def _all_of(campaign: Campaign, kills: int, sandboxes: int, restarted: list[Restart]) -> None:
    dice = random.Random(campaign.seed)  # noqa: S311 - as above.

    async def restart() -> None:
        restarted.append(await thousand.restart(campaign.home, sandboxes, dice))

    myself = asyncio.current_task()
    if myself is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, myself.cancel)
    await campaign.run(kills)
    if sandboxes:
        await campaign.guarded(f"a restart with {sandboxes} sandboxes", restart())


def _summary(campaign: Campaign, restarted: Sequence[Restart], *, kills: int, took_s: float) -> str:
    killed = campaign.killed.total()
    points = len(campaign.killed.keys() - {""})
    slowest_s = max(campaign.converged_s, default=0.0)
    parts = [
        (
            f"crash: seed {campaign.seed}, {killed} of {kills} kills, at {points} of"
            f" {len(campaign.reached)} points and {campaign.killed['']} random moments"
        ),
        f"{campaign.acknowledged} acknowledged",
        (
            f"all views true {statistics.median(campaign.converged_s or [0]):.2f} s after serving"
            f" (median), {slowest_s:.2f} s (most)"
        ),
        *(
            f"{one.sandboxes} sandboxes: serving after {one.serving_s:.2f} s, all views true"
            f" {one.converged_s:.2f} s later"
            for one in restarted
        ),
        f"{len(campaign.failures)} failures",
        f"{took_s:.0f} s",
    ]
    return f"{'; '.join(parts)}: {'FAILED' if campaign.failures else 'ok'}"


def _containers_work(home: Path) -> bool:
    """Whether real containers run here; lays down what they are made from where they do."""
    config = RuntimeConfig(state_dir=home, templates_dir=home)
    if not any(one.usable for one in probe(config) if one.name == SHIMV2):
        return False
    template(home)
    return True


def _allow_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, _FILES_MAX), most))
