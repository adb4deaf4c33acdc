"""The ways in which an agent comes to its crash points: steady work, and scenes of what is rare."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cubelet.api.v1 import sandboxes_pb2 as api
from cubelet.places import STORE_NAME
from cubelet.store.offline.verify import verify as verify_store
from scripts.crashes.checks import nothing_left, verify
from scripts.crashes.load import Broken, Load
from scripts.crashes.rig import Died, Rig

#: What takes the agent half a minute by default takes it a second here; what is to be so within two
#: seconds of a start is so with the default as well, but for calls that the kill cut short.
QUICK: Final = """
[runtime]
default = "fake"
[policy]
settle_s = 0.5
settle_first_s = 0.1
settle_max_s = 0.3
relist_s = 1.0
"""
_KILLED: Final = -signal.SIGKILL
_names = itertools.count()


@dataclass(slots=True)
class Way:
    """An agent on a folder of its own, a load for it, and what has been killed of it so far."""

    home: Path
    dice: random.Random
    seats: Sequence[api.Spec]
    name: str = "load"
    rig: Rig = field(init=False)
    load: Load = field(init=False)
    converged_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        folder = self.home / f"{self.name}{next(_names)}"
        folder.mkdir(mode=0o700)
        self.rig = Rig(folder, QUICK)
        self.load = Load(self.rig, self.dice, self.seats)

    async def to_the_point(self, points: str, *, seconds: float) -> bool:
        """Start with these points armed, work, and stop; whether it was killed on the way."""
        await self.rig.kill()
        return await self._work(await self.rig.start(points), seconds)

    async def on_to_the_point(self, points: str, *, seconds: float) -> bool:
        """The same with the agent that runs already, where one does."""
        if not self.rig.alive:
            return await self.to_the_point(points, seconds=seconds)
        await self.rig.arm(points)
        return await self._work(self.rig.alive, seconds)

    async def _work(self, serves: bool, seconds: float) -> bool:  # noqa: FBT001 - it is the one thing said.
        if serves:
            with contextlib.suppress(Died):
                await self.drive(seconds)
            self.rig.terminate()
        return await self.ended() == _KILLED

    async def drive(self, seconds: float) -> None:
        """What the agent has to do until it dies. Raises Died, Broken."""
        await self.load.run(seconds)

    async def to_a_moment(self, after_s: float, *, anew: bool) -> None:
        """Kill it so long from now, or after a new start, whatever it does then."""
        if anew:
            await self.rig.kill()
        timer = asyncio.create_task(self._kill_after(after_s))
        try:
            if self.rig.alive or await self.rig.start():
                await self.load.run(after_s + 1.0)
        except Died:
            pass
        finally:
            await timer
        await self.ended()

    async def check(self) -> None:
        """Start it again, and see that everything is as it must be. Raises Broken."""
        self.check_store()
        if not await self.rig.start():
            raise Broken(f"the agent does not start again (exit code {self.rig.exit_code})")
        try:
            self.converged_s.append(await verify(self.load))
        except Died:
            raise Broken(f"the agent died while it was checked: {self.rig.exit_code}") from None

    def check_store(self) -> None:
        """While no agent has it: every row and the journal's chain. Raises Broken."""
        path = self.rig.folder / STORE_NAME
        report = verify_store(path) if path.exists() else None
        if report is not None and report.found:
            raise Broken(f"the store is not sound: {'; '.join(map(str, report.problems[:3]))}")

    async def stop(self) -> None:
        """SIGTERM, and a good end."""
        self.rig.terminate()
        if (code := await self.ended()) != 0:
            raise Broken(f"told to stop, the agent ended with {code}")

    async def finish(self) -> None:
        """Delete all, stop, and see that nothing is left. Raises Broken."""
        await self.load.delete_all()
        await self.stop()
        await nothing_left(self.rig)

    async def ended(self) -> int | None:
        """Wait for its end; the exit code. Raises Broken where it goes on."""
        if not await self.rig.gone():
            await self.rig.kill()
            raise Broken("the agent did not end")
        return self.rig.exit_code

    async def close(self) -> None:
        """Whatever is left, by force."""
        await self.rig.close()

    async def _kill_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.rig.kill()
