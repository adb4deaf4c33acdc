"""Short stories: several steps in a row that chance alone would seldom bring together.

Each is a planned act like the blows of fate, but it is made of requests, and waits for their
answers. What goes wrong in between is left to the other faults.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random

from cubelet.core.model import State
from tests.sim.agent import Agent
from tests.sim.clients import Clients
from tests.sim.dice import dice_of
from tests.sim.events import EventNet
from tests.sim.fate import Fate
from tests.sim.script import Act
from tests.sim.world import World

#: How a commit can end in doubt, or fail after it has been carried out.
_DOUBTS = ("reply_lost", "connection_lost_after", "error_after_effect", "error_before_effect")
_STRANGERS = ("stranger_pauses", "stranger_resumes")


class Stories:
    """Tells them. A story that the calm overtakes is not told to its end."""

    def __init__(
        self, world: World, clients: Clients, fate: Fate, agent: Agent, net: EventNet
    ) -> None:
        self._world = world
        self._clients = clients
        self._fate = fate
        self._agent = agent
        self._net = net
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, act: Act) -> None:
        """Begin one."""
        self._world.swarm.came(act.what)
        told = getattr(self, f"_{act.what}")(act, dice_of(act.seed))
        task = self._world.loop.create_task(told, context=self._world.context)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def _names_handed_on(self, act: Act, dice: Random) -> None:
        """A commit, one more; another sandbox takes that one's name, if it is free; then a third.

        Where the second one's outcome is in doubt, the third may not build upon the first, nor upon
        the second name, whoever has it now.
        """
        await self._commit(act, "first", dice)
        shim = self._fate.shim_of(act.slot)
        if shim is not None and dice.random() < 0.7:
            shim.next_mishap = dice.choice(_DOUBTS)
        await self._commit(act, "second", dice)
        other = dice.choice(self._clients.neighbours(act.slot) or [act.slot])
        await self._commit(replace(act, slot=other), "second", dice)
        await self._commit(act, "third", dice)

    async def _restored_between_commits(self, act: Act, dice: Random) -> None:
        """A commit, a restore that only its generation tells of, and soon another commit."""
        await self._commit(act, "before", dice)
        self._strike(act, "stranger_restores")
        await self._commit(act, "after", dice)

    async def _changed_while_stream_down(self, act: Act, dice: Random) -> None:
        """A stranger's doing while no event gets through; then the stream is opened again."""
        self._net.down = True
        self._strike(act, dice.choice(_STRANGERS))
        await asyncio.sleep(dice.uniform(1.1, 4.0))
        self._net.down = False
        self._agent.gap()

    async def _answers_overtake(self, act: Act, dice: Random) -> None:
        """The round's answer is slow on its way back; a stranger's event asks another meanwhile."""
        shim = self._fate.shim_of(act.slot)
        if shim is None:
            return
        shim.next_slow_s = dice.uniform(0.5, 4.5)
        shim.tainted(self._world.now_s + shim.next_slow_s)
        self._agent.gap()
        await asyncio.sleep(dice.uniform(0.01, 0.2))
        self._strike(act, dice.choice(_STRANGERS))

    async def _record_lost_between_commits(self, act: Act, dice: Random) -> None:
        """A sandbox may come from a snapshot, and was committed since; then its record is damaged.

        The next commit may build on neither of them.
        """
        await self._commit(act, "origin", dice)
        for what in ("delete", "create"):
            await self._clients.ask(replace(act, what=what))
        await self._commit(act, "before", dice)
        self._strike(act, "record_damaged")
        await asyncio.sleep(dice.uniform(1.0, 25.0))
        await self._commit(act, "after", dice)

    async def _store_lost_between_commits(self, act: Act, dice: Random) -> None:
        """A commit, then the store is lost; the next commit wants the same name."""
        await self._commit(act, "kept", dice)
        self._strike(act, "store_lost")
        await asyncio.sleep(dice.uniform(1.0, 25.0))
        await self._commit(act, "kept", dice)

    def _strike(self, act: Act, what: str) -> None:
        if not self._world.swarm.over:
            self._fate.strike(replace(act, what=what))

    async def _commit(self, act: Act, name: str, dice: Random) -> None:
        await asyncio.sleep(dice.uniform(0.0, 3.0))
        for what in (*self._missing(act.slot), "commit"):
            if not self._world.swarm.over:
                await self._clients.ask(replace(act, what=what, name=f"{name}{act.number}"))

    def _missing(self, slot: int) -> tuple[str, ...]:
        """What it takes to have a running sandbox, as far as one can see."""
        record = self._clients.seen(slot)
        if record is None:
            return ("create",)
        return ("resume",) if record.state is State.PAUSED else ()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._world.judge.broken(f"BUG a story broke: {bug!r}")
