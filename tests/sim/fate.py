"""The planned blows: what happens to agent, store, clocks and sandboxes at a moment."""

from __future__ import annotations

import asyncio
from random import Random

from tests.sim.agent import Agent
from tests.sim.dice import dice_of
from tests.sim.disk import Disk
from tests.sim.script import Act
from tests.sim.shim import Shim
from tests.sim.world import World

_YEAR_S = 365 * 86400
#: Blows that end the agent.
_TO_AGENT = ("agent", "power", "host", "store_lost", "record")


class Fate:
    """Carries out the acts that no caller asks for."""

    def __init__(self, world: World, disk: Disk, agent: Agent) -> None:
        self._world = world
        self._disk = disk
        self._agent = agent
        self._tasks: set[asyncio.Task[None]] = set()

    def strike(self, act: Act) -> None:
        """Let it happen, if it can."""
        dice = dice_of(act.seed)
        self._world.note(f"fate: {act.what}")
        if act.what.startswith(_TO_AGENT):
            self._hit_agent(act.what, dice, f"sb{act.slot}")
        elif act.what.startswith(("wall", "store")):
            self._hit_host(act.what, dice)
        elif act.what == "stream_breaks":
            self._world.swarm.came(act.what)
            self._agent.gap()
        else:
            shim = self.shim_of(act.slot)
            if shim is not None:
                self._hit_shim(act.what, shim, dice)

    def start_agent(self) -> None:
        """Somebody looks after it: it is started again whenever it has ended."""
        if self._agent.engine is None:
            self._agent.start()

    def kill(self, *, power: bool = False, reboot: bool = False) -> None:
        """Kill it, and start it again a little later."""
        if self._agent.engine is not None:
            self._agent.kill(power=power, reboot=reboot)
            self._world.after(
                self._world.work_time(self._world.rng.uniform(0.1, 20.0)), self.start_agent
            )

    def _hit_agent(self, what: str, dice: Random, sandbox_id: str) -> None:
        loop = self._world.loop
        if self._agent.engine is None:
            return
        if what == "record_damaged" and not self._has_traces(sandbox_id):
            return
        self._world.swarm.came(what)
        match what:
            case "agent_killed" | "power_cut":
                self.kill(power=what == "power_cut")
            case "host_reboots":
                self.kill(reboot=True)
            case "store_lost" | "record_damaged":
                self.kill()
                lost = sandbox_id if what == "record_damaged" else ""
                self._disk.lose(lost)
                self._world.judge.lost(lost)
            case "agent_killed_at_step":
                loop.kill_at_step = loop.steps + dice.randint(1, 60)
            case "agent_killed_in_recovery":
                self._agent.kill()
                self._agent.start()
                loop.kill_at_step = loop.steps + dice.randint(1, 40)
            case "agent_stopped":
                self._agent.stop(dice.uniform(1, 120))
            case _:
                task = loop.create_task(self._close(), context=self._world.context)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _has_traces(self, sandbox_id: str) -> bool:
        """Whether its record is there, and what can tell of it without that."""
        record = self._disk.tables.records.get(sandbox_id)
        shim = self._agent.runtimes[record.spec.runtime].find(record) if record else None
        return shim is not None and not shim.cleared

    async def _close(self) -> None:
        await self._agent.close()
        await asyncio.sleep(0.1)
        self.start_agent()

    def _hit_host(self, what: str, dice: Random) -> None:
        world = self._world
        world.swarm.came(what)
        if what == "store_full":
            self._disk.break_for(dice.uniform(1, 30), "no space left")
        elif what == "store_read_only":
            self._disk.break_for(dice.uniform(1, 60), "read-only")
        else:
            most_s = 10 * _YEAR_S if what == "wall_jump_years" else dice.choice((1, 60, 3600))
            world.wall_offset_ns += int(dice.uniform(-most_s, most_s) * 1e9)

    def _hit_shim(self, what: str, shim: Shim, dice: Random) -> None:
        freezer = shim.host.freezer
        possible = {
            "stranger_pauses": not shim.paused and not shim.split and not shim.busy,
            "stranger_resumes": shim.paused and not shim.split and not shim.busy,
            "stranger_restores": not shim.paused and not shim.split and not shim.busy,
            "stranger_freezes": freezer and not shim.frozen,
            "stranger_thaws": freezer and shim.frozen,
        }.get(what, True)
        if not possible or not shim.alive:
            return
        self._world.swarm.came(what)
        match what:
            case "shim_hangs":
                shim.hang(dice.uniform(1, 120))
            case "shim_dies":
                shim.end(None)
            case "sandbox_exits":
                shim.end(dice.choice((0, 1, 137)))
            case "stranger_pauses" | "stranger_resumes":
                shim.by_stranger("pause" if what == "stranger_pauses" else "resume")
            case "stranger_restores":
                shim.by_stranger("pause")
                shim.by_stranger("resume")
            case _:
                shim.set_frozen(what == "stranger_freezes", by="stranger")

    def shim_of(self, slot: int) -> Shim | None:
        """The living one of this slot."""
        for runtime in self._agent.runtimes.values():
            for shim in runtime.shims.values():
                if shim.id == f"sb{slot}" and shim.alive:
                    return shim
        return None
