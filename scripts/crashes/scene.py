"""A scene: what an agent meets rarely, set up on a new state directory, and then played."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from scripts.crashes.load import Broken
from scripts.crashes.ways import Way

#: How long there is a load before the scene begins, and in some again when it is played.
SHORT_S: Final = 0.6
LOOK_S: Final = 0.05


@dataclass(slots=True)
class Scene(Way):
    """Sandboxes are made, something is done to them or to the store, and then the agent starts."""

    async def to_the_point(self, points: str, *, seconds: float) -> bool:
        """Set the scene, and play it with these points armed."""
        await self._set_up()
        return await Way.to_the_point(self, points, seconds=seconds)

    async def _set_up(self) -> None:
        if not await self.rig.start():
            raise Broken("the agent did not start on an empty folder")
        await self.load.run(SHORT_S)
        await self.load.settle()
        await self.rig.kill()
        await self.spoil()
        self.rig.forget_reached()

    async def spoil(self) -> None:
        """What happens while no agent is there."""
