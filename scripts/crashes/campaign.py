"""Many kills, several at a time: which way leads to which point, and what was lost."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from scripts.crashes import scenes
from scripts.crashes.load import Broken, specs
from scripts.crashes.rig import Died, Refused
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
_FIRST_S: Final = 0.5
_TRIES_MAX: Final = 4
_SKIPPED_MAX: Final = 12
_MOMENT_MAX_S: Final = 3.0
#: How many of these moments are counted from a start.
_ANEW: Final = 0.3
_FAILURES_MAX: Final = 5
_PROGRESS_S: Final = 30.0


@dataclass(slots=True)
class Campaign:
    """One run of so many kills, several at a time, each worker on an agent of its own."""

    seed: int
    home: Path
    containers: bool
    jobs: int
    reached: dict[str, type[Way]] = field(default_factory=dict)
    #: Of the steady load's points, those before an agent serves and has been looked at.
    at_start: set[str] = field(default_factory=set)
    killed: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    converged_s: list[float] = field(default_factory=list)
    acknowledged: int = 0
    _told_s: float = field(default_factory=time.monotonic)

    async def run(self, kills: int) -> None:
        """Find out which way leads to which point, then kill; stops after some failures."""
        kinds = iter(self._kinds())
        await asyncio.gather(*(self._look(kinds) for _ in range(self.jobs)))
        dice = random.Random(self.seed)  # noqa: S311 - what is drawn has to repeat.
        points = dice.sample(sorted(self.reached), len(self.reached))
        moments = max(kills - len(points), kills // 4)
        plan = [*points[: kills - moments], *[""] * moments]
        dice.shuffle(plan)
        numbered = iter(enumerate(plan, 1))
        workers = [Worker(self, number) for number in range(self.jobs)]
        await asyncio.gather(*(worker.run(numbered, kills) for worker in workers))

    def missing(self) -> list[str]:
        """Points that nothing has led to."""
        known = names()
        if not self.containers:
            known = frozenset(name for name in known if not name.startswith(_CONTAINERS_ONLY))
        return sorted(known - self.reached.keys())

    def open(self, kind: type[Way], dice: random.Random) -> Way:
        """A new agent for this way."""
        template = str(self.home / "root.tar")
        boxes = ("shimv2", template) if self.containers else ("process", "")
        if kind is Way:
            seats = [*specs("fake", FAKES), *specs(boxes[0], CONTAINERS, boxes[1])]
        elif kind in scenes.WITH_CONTAINERS:
            seats = specs("shimv2", 2, template)
        else:
            seats = [*specs("fake", 2), *specs(boxes[0], 2, boxes[1])]
        return kind(self.home, dice, seats, name=kind.__name__.lower())

    async def guarded(self, what: str, work: Awaitable[None]) -> None:
        """Do it; what is not as promised is kept, and printed."""
        try:
            await work
        except (Broken, Died, Refused, AssertionError) as failed:
            text = str(failed) or type(failed).__name__
            self.failures.append(f"seed {self.seed}, {what}: {text}")
            print(f"FAILED: {self.failures[-1]}", flush=True)

    async def end(self, way: Way) -> None:
        """Delete all that the way has left, and see that it is gone. Raises Broken."""
        try:
            if not way.rig.alive and not await way.rig.start():
                raise Broken("the agent does not start to be cleaned up")
            await way.finish()
        finally:
            await self.drop(way)

    async def drop(self, way: Way) -> None:
        """Count what it has done, and end it by force."""
        self.acknowledged += way.load.acknowledged
        self.converged_s += way.converged_s
        await way.close()

    def tell(self, kills: int) -> None:
        """A line now and then, for runs that take long."""
        done = self.killed.total() + len(self.failures)
        if time.monotonic() - self._told_s >= _PROGRESS_S:
            self._told_s = time.monotonic()
            print(f"{done} of {kills} kills, {len(self.failures)} failures", file=sys.stderr)

    def _kinds(self) -> Sequence[type[Way]]:
        kinds: list[type[Way]] = [Way, *scenes.EVERYWHERE]
        return [*kinds, *scenes.WITH_CONTAINERS] if self.containers else kinds

    async def _look(self, kinds: Iterator[type[Way]]) -> None:
        for kind in kinds:
            await self.guarded(f"the census of {kind.__name__}", self._census(kind))

    async def _census(self, kind: type[Way]) -> None:
        """Go the way once without a kill, and note which points are on it."""
        way = self.open(kind, random.Random(f"{self.seed} {kind.__name__}"))  # noqa: S311 - as above.
        try:
            if kind is Way:
                await self._warm_up(way)
            await way.to_the_point("", seconds=_CENSUS_S)
            await way.check()
        except BaseException:
            await self.drop(way)
            raise
        found = way.rig.points_reached()
        for point in found if kind is Way else found - self.reached.keys():
            self.reached[point] = kind
        await self.end(way)

    async def _warm_up(self, way: Way) -> None:
        """The steady load goes on and on: what it does the first time only is no part of it."""
        await way.check()
        await way.drive(_FIRST_S)
        await way.stop()
        way.rig.forget_reached()
        await way.check()
        self.at_start = way.rig.points_reached()


@dataclass(slots=True)
class Worker:
    """Kills one after the other. The agent with the steady load is used again and again."""

    campaign: Campaign
    number: int
    dice: random.Random = field(default_factory=random.Random)
    _steady: Way | None = None

    async def run(self, plan: Iterator[tuple[int, str]], kills: int) -> None:
        """Take what is next in the plan, until there is no more, or there were many failures."""
        campaign = self.campaign
        try:
            for number, point in plan:
                if len(campaign.failures) >= _FAILURES_MAX:
                    break
                self.dice.seed(f"{campaign.seed} {number}")
                what = f"kill {number}, {point or 'at a random moment'}"
                await campaign.guarded(what, self._at_point(point) if point else self._at_random())
                campaign.tell(kills)
            if self._steady is not None:
                await campaign.guarded("the end of the load", campaign.end(self._steady))
        finally:  # Of a campaign that is cut short nothing is to be left either.
            if self._steady is not None:
                await self._steady.close()

    async def _at_point(self, point: str) -> None:
        campaign = self.campaign
        kind = campaign.reached[point]
        for attempt in range(_TRIES_MAX):
            skipped = self.dice.randrange(_SKIPPED_MAX) if attempt == 0 and kind is Way else 0
            armed = f"{point}={f'{skipped}*off->' if skipped else ''}1*kill"
            way = self._work() if kind is Way else campaign.open(kind, self.dice)
            try:
                anew = attempt > 0 or point in campaign.at_start
                go = way.to_the_point if anew else way.on_to_the_point
                died = await go(armed, seconds=_WORK_S * (attempt + 1))
                await way.check()
            except BaseException:
                await self._give_up(way)
                raise
            if kind is not Way:
                await campaign.end(way)
            if died:
                campaign.killed[point] += 1
                return
        raise Broken("the agent did not come to this point again")

    async def _at_random(self) -> None:
        way = self._work()
        try:
            anew = self.dice.random() < _ANEW
            await way.to_a_moment(self.dice.uniform(0, _MOMENT_MAX_S), anew=anew)
            await way.check()
        except BaseException:
            await self._give_up(way)
            raise
        self.campaign.killed[""] += 1

    def _work(self) -> Way:
        if self._steady is None:
            self._steady = self.campaign.open(Way, self.dice)
        return self._steady

    async def _give_up(self, way: Way) -> None:
        """Of an agent that has failed nothing more is to be learned."""
        if way is self._steady:
            self._steady = None
        print(way.rig.complaints(), file=sys.stderr)
        await self.campaign.drop(way)
