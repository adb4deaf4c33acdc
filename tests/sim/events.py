"""The way of the shims' events to the agent: they are lost, doubled, delayed, and made up."""

from __future__ import annotations

from collections.abc import Callable

from tests.sim.vm import Vm
from tests.sim.world import World


class EventNet:
    """`deliver` takes a sandbox's id and the topic; whoever is not there does not hear it."""

    def __init__(self, world: World, deliver: Callable[[str, str], None]) -> None:
        self._world = world
        self._deliver = deliver
        self._silent = world.swarm.has("no_events")
        #: The stream is down, and nobody has noticed yet.
        self.down = False

    def publish(self, shim: Vm, topic: str) -> None:
        """A shim tells of a change."""
        swarm = self._world.swarm
        if self._silent or self.down or swarm.fires("event_dropped"):
            return
        copies = 2 if swarm.fires("event_twice") else 1
        if swarm.fires("event_flood"):
            copies = 100
        for _ in range(copies):
            self._world.after(self._delay_s(), self._deliver, shim.id, topic)
        if swarm.fires("event_exit_of_an_exec"):
            self._world.after(self._delay_s(), self._deliver, shim.id, "exit")
        if swarm.fires("event_garbage"):
            garbage = swarm.stream("event_garbage").choice(("", "exec-1", "sb0\n", "x" * 300))
            self._world.after(self._delay_s(), self._deliver, garbage, topic)

    def _delay_s(self) -> float:
        """Each its own, so that they overtake each other; up to five minutes."""
        swarm = self._world.swarm
        if swarm.fires("event_very_late"):
            return swarm.stream("event_very_late").uniform(10, 300)
        if swarm.fires("event_late"):
            return swarm.stream("event_late").uniform(0.1, 10)
        return self._world.rng.uniform(0.0005, 0.01)
