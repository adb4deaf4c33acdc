"""The agent is killed at every crash point and at random moments, and must have lost nothing."""

from __future__ import annotations

import asyncio
import random
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.kinds import SHIMV2
from cubelet.runtime.probe import probe
from scripts.crashes import scenes, thousand
from scripts.crashes.load import Broken, specs
from scripts.crashes.rig import Died, Refused
from scripts.crashes.thousand import Restart
from scripts.crashes.ways import Way
from tests.crash.census import names

FAKES: Final = 20
CONTAINERS: Final = 4
#: Reached only where there are real containers, which need root, runc and its shim.
_CONTAINERS_ONLY: Final = (
    "engine.heal.",
    "runtime.heal.",
    "runtime.template.",
    "runtime.group.",
    "runtime.root.",
)
_WORK_S: Final = 3.0
_CENSUS_S: Final = 5.0
_TRIES_MAX: Final = 4
_SKIPPED_MAX: Final = 12
_MOMENT_MAX_S: Final = 4.0
_FAILURES_MAX: Final = 5
_FILES_MAX: Final = 65536
_PROGRESS_S: Final = 30.0


@dataclass(slots=True)
class Campaign:
    """One run of so many kills."""

    seed: int
    home: Path
    containers: bool
    dice: random.Random
    reached: dict[str, type[Way]] = field(default_factory=dict)
    killed: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    converged_s: list[float] = field(default_factory=list)
    acknowledged: int = 0
    _steady: Way | None = None
    _told_s: float = field(default_factory=time.monotonic)

    async def run(self, kills: int) -> None:
        """Find out which way leads to which point, then kill; stops after some failures."""
        for kind in self._kinds():
            await self.guarded(f"the census of {kind.__name__}", self._census(kind))
        points = sorted(self.reached)
        self.dice.shuffle(points)
        moments = max(kills - len(points), kills // 4)
        plan: list[str] = [*points[: kills - moments], *[""] * moments]
        self.dice.shuffle(plan)
        for number, point in enumerate(plan):
            if len(self.failures) >= _FAILURES_MAX:
                break
            what = f"kill {number + 1}, {point or 'at a random moment'}"
            await self.guarded(what, self._kill_at(point) if point else self._kill_at_random())
            self._tell(number + 1, kills)
        if self._steady is not None:
            await self.guarded("the end of the load", self._finish(self._steady))

    def missing(self) -> list[str]:
        """Points that nothing has led to."""
        known = names()
        if not self.containers:
            known = frozenset(name for name in known if not name.startswith(_CONTAINERS_ONLY))
        return sorted(known - self.reached.keys())

    def _kinds(self) -> Sequence[type[Way]]:
        plain: list[type[Way]] = [
            Way,
            scenes.Force,
            scenes.Orphans,
            scenes.Lost,
            scenes.Reboot,
            scenes.Copied,
        ]
        return [*plain, scenes.Frozen, scenes.Template] if self.containers else plain

    def _open(self, kind: type[Way]) -> Way:
        template = str(self.home / "root.tar")
        boxes = ("shimv2", template) if self.containers else ("process", "")
        if kind is Way:
            seats = [*specs("fake", FAKES), *specs(boxes[0], CONTAINERS, boxes[1])]
        elif kind in {scenes.Frozen, scenes.Template}:
            seats = specs("shimv2", 2, template)
        else:
            seats = [*specs("fake", 2), *specs(boxes[0], 2, boxes[1])]
        return kind(self.home, self.dice, seats, name=kind.__name__.lower())

    async def _census(self, kind: type[Way]) -> None:
        """Go the way once without a kill, and note which points are on it."""
        way = self._open(kind)
        try:
            await way.to_the_point("", seconds=_CENSUS_S)
            await way.check()
            for point in way.rig.points_reached() - self.reached.keys():
                self.reached[point] = kind
            if kind is Way:
                self._steady = way
                await way.stop()
            else:
                await self._finish(way)
        except BaseException:
            await way.close()
            raise

    async def _kill_at(self, point: str) -> None:
        kind = self.reached[point]
        for attempt in range(_TRIES_MAX):
            skipped = self.dice.randrange(_SKIPPED_MAX) if attempt == 0 and kind is Way else 0
            armed = f"{point}={f'{skipped}*off->' if skipped else ''}1*kill"
            way = self._work() if kind is Way else self._open(kind)
            try:
                died = await way.to_the_point(armed, seconds=_WORK_S * (attempt + 1))
                await way.check()
                await (way.stop() if kind is Way else self._finish(way))
            except BaseException:
                await self._give_up(way)
                raise
            if died:
                self.killed[point] += 1
                return
        raise Broken("the agent did not come to this point again")

    async def _kill_at_random(self) -> None:
        way = self._work()
        try:
            await way.to_a_moment(self.dice.uniform(0, _MOMENT_MAX_S))
            await way.check()
            await way.stop()
        except BaseException:
            await self._give_up(way)
            raise
        self.killed[""] += 1

    def _work(self) -> Way:
        if self._steady is None:
            self._steady = self._open(Way)
        return self._steady

    async def _give_up(self, way: Way) -> None:
        if way is self._steady:
            self._steady = None
        print(way.rig.complaints(), file=sys.stderr)
        self._count(way)
        await way.close()

    async def _finish(self, way: Way) -> None:
        """Delete all that the way has left, and see that it is gone."""
        try:
            if not way.rig.alive and not await way.rig.start():
                raise Broken("the agent does not start to be cleaned up")
            await way.finish()
        finally:
            self._count(way)
            await way.close()

    def _count(self, way: Way) -> None:
        self.acknowledged += way.load.acknowledged
        self.converged_s += way.converged_s

    async def guarded(self, what: str, work: Awaitable[None]) -> None:
        """Do it; what is not as promised is kept, and printed."""
        try:
            await work
        except (Broken, Died, Refused, AssertionError) as failed:
            text = str(failed) or type(failed).__name__
            self.failures.append(f"seed {self.seed}, {what}: {text}")
            print(f"FAILED: {self.failures[-1]}", flush=True)

    def _tell(self, done: int, kills: int) -> None:
        if time.monotonic() - self._told_s >= _PROGRESS_S:
            self._told_s = time.monotonic()
            print(f"{done} of {kills} kills, {len(self.failures)} failures", file=sys.stderr)


def run(kills: int, seed: int, *, sandboxes: int) -> int:
    """Kill so often, then restart with so many sandboxes; 1 where anything was not as promised."""
    _allow_files()
    begin_s = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="crash-"))
    containers = _containers_work(home)
    if not containers:
        print("no real containers here (they need root, runc and its shim): processes instead")
    campaign = Campaign(seed, home, containers, random.Random(seed))  # noqa: S311 - it is to repeat.
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
    async def restart() -> None:
        restarted.append(await thousand.restart(campaign.home, sandboxes, campaign.dice))

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
    scenes.template(home)
    return True


def _allow_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, _FILES_MAX), most))
