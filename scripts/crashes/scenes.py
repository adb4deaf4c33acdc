"""All scenes, by where they can be played."""

from __future__ import annotations

from typing import Final

from scripts.crashes.host_scenes import Force, Frozen, Orphans, Reboot, Template
from scripts.crashes.scene import Scene
from scripts.crashes.store_scenes import Copied, First, Forgetful, Lost, Older, Refusing

#: Wherever the agent runs.
EVERYWHERE: Final[tuple[type[Scene], ...]] = (
    First,
    Force,
    Orphans,
    Lost,
    Reboot,
    Refusing,
    Forgetful,
    Older,
    Copied,
)
#: Where there are real containers; all of their sandboxes are such.
WITH_CONTAINERS: Final[tuple[type[Scene], ...]] = (Frozen, Template)
