"""One run from its first moment to its last: chaos, then calm, then the reckoning."""

from __future__ import annotations

import asyncio

from tests.sim.agent import Agent
from tests.sim.checkers import Judge
from tests.sim.checkers.base import Facts
from tests.sim.clients import Clients
from tests.sim.disk import Disk
from tests.sim.events import EventNet
from tests.sim.fate import Fate
from tests.sim.faults import PER_MINUTE, STORIES
from tests.sim.runtime import SimRuntime
from tests.sim.script import Act, Script
from tests.sim.shim import Shim
from tests.sim.stories import Stories
from tests.sim.vm import Host
from tests.sim.world import World

#: T_stuck + a round + a query + slack, and once more a round for what the calm itself has changed;
#: before it the longest request, a create that is undone, may still be under way.
CALM_S = 95.0 + 91.0
#: How long the view may take to follow a stranger, with nothing else wrong and no event.
FOLLOWED_S = 16.0
_ACTORS = frozenset({"storm", "id_reused"})


class Scene:
    """Builds the world of a script, and plays it."""

    def __init__(self, world: World, script: Script) -> None:
        self.world = world
        self.script = script
        self.disk = Disk(world)
        net = EventNet(world, self._hint)
        self.runtimes = {
            name: SimRuntime(world, self._host(net, freezer=name == "freezer"), name)
            for name in ("opaque", "freezer")
        }
        self.agent = Agent(world, self.disk, self.runtimes, script.policy)
        world.judge = Judge(Facts(world, self.disk, self.agent, self.runtimes))
        self.fate = Fate(world, self.disk, self.agent)
        self.clients = Clients(world, self.agent, script.freezers)
        self.stories = Stories(world, self.clients, self.fate, self.agent, net)
        world.loop.on_kill_step = self._kill_at_step

    async def play(self) -> None:
        """Chaos until the script's end, then calm."""
        self.agent.start()
        sampler = asyncio.create_task(self._sample())
        for act in self.script.acts:
            await self._until(act.at_s)
            self._perform(act)
        await self._until(self.script.chaos_s)
        await self._calm()
        sampler.cancel()

    def _hint(self, sandbox_id: str, topic: str) -> None:
        self.agent.hint(sandbox_id, topic)

    def _perform(self, act: Act) -> None:
        if act.what in STORIES:
            self.stories.tell(act)
        elif act.what in PER_MINUTE and act.what not in _ACTORS:
            self.fate.strike(act)
        else:
            self.clients.send(act)

    async def _calm(self) -> None:
        """All faults end: what is left must come right by itself, within its bounds."""
        world = self.world
        world.swarm.calm()
        world.loop.kill_at_step = None
        world.note("calm")
        await asyncio.sleep(1.0)
        self.fate.start_agent()
        self.disk.good_since_s = max(self.disk.good_since_s, world.now_s)
        await asyncio.sleep(CALM_S)
        if self.clients.waiting:
            world.judge.broken(f"I22 {self.clients.waiting} requests have not ended in the calm")
        self._reckon()
        await self._follow_strangers()

    async def _follow_strangers(self) -> None:
        """I3: with nothing else wrong the view follows without any event."""
        for shim in self._living():
            if not shim.split and not shim.busy:
                shim.by_stranger("resume" if shim.paused else "pause")
        await asyncio.sleep(FOLLOWED_S)
        self._reckon()

    def _reckon(self) -> None:
        engine = self.agent.engine
        if engine is None:
            self.world.judge.broken("I22 the agent is not there at the end of the calm")
            return
        self.world.judge.quiet(engine.view())

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            engine = self.agent.engine
            if engine is not None and self.agent.serving and not self.world.loop.stopped:
                self.world.judge.sampled(engine.view())

    def _living(self) -> list[Shim]:
        runtimes = self.runtimes.values()
        return [shim for one in runtimes for shim in one.shims.values() if shim.alive]

    def _host(self, net: EventNet, *, freezer: bool) -> Host:
        swarm = self.world.swarm
        return Host(
            world=self.world,
            freezer=freezer,
            status_waits=not swarm.has("status_beside_mutex"),
            counts_generations=not swarm.has("no_generations"),
            publish=net.publish,
        )

    def _kill_at_step(self) -> None:
        """At any await; the callback must not run inside the agent's own context."""
        self.fate.kill()

    async def _until(self, at_s: float) -> None:
        delay_s = at_s - self.world.now_s
        if delay_s > 0:
            await asyncio.sleep(delay_s)
