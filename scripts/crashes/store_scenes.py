"""Scenes of the store: new, old, damaged, refused by the disk, cleaned, copied."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from typing import Final

from cubelet.api.v1 import node_pb2 as node
from cubelet.places import STORE_NAME
from scripts.crashes.checks import verify
from scripts.crashes.load import Broken
from scripts.crashes.scene import LOOK_S, SHORT_S, Scene
from scripts.crashes.ways import Way
from tests.crash.points import FORGETFUL

_REBUILT_S: Final = 10.0
_DEGRADED_S: Final = 10.0
_TO_FORMAT_1: Final = """
BEGIN;
ALTER TABLE journal DROP COLUMN hash;
DELETE FROM meta WHERE key NOT IN ('format', 'boot_id', 'created_at_ns');
UPDATE meta SET value = '1' WHERE key = 'format';
DELETE FROM _sqlite_migrations WHERE name = 'm002_chain';
COMMIT;
"""


class First(Scene):
    """An agent starts on an empty folder."""

    async def _set_up(self) -> None:
        """Leave it empty."""


class Lost(Scene):
    """The store is damaged: it is kept, and made again from what the shims tell."""

    async def spoil(self) -> None:
        """Break the file. Keys, journal and catalog are lost with it, and only they."""
        path = self.rig.folder / STORE_NAME
        with path.open("r+b") as file:
            file.write(b"no store at all ")
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        for life in self.load.lives:
            life.lose_history()

    async def drive(self, seconds: float) -> None:
        """Wait until every sandbox is known again."""
        end_s = time.monotonic() + max(seconds, _REBUILT_S)
        wanted = {life.id for life in self.load.living()}
        while wanted - (await self.rig.listed()).keys():
            if time.monotonic() > end_s:
                raise Broken(f"not known again: {wanted - (await self.rig.listed()).keys()}")
            await asyncio.sleep(LOOK_S)

    async def check(self) -> None:
        """As ever, once all are known again; their states are those that they had."""
        if not await self.rig.start():
            raise Broken("the agent does not start again")
        await self.drive(_REBUILT_S)
        await verify(self.load, within_s=_REBUILT_S)


class Refusing(Scene):
    """The disk refuses some changes; the agent says so, and works again without being told."""

    async def to_the_point(self, points: str, *, seconds: float) -> bool:
        """With errors at the store's own boundary, as of a disk, besides the points."""
        self.load.tolerated = frozenset({"STORE_FAILED"})
        await self._set_up()
        armed = f"{points};store.commit.begun=12*off->4*ioerr"
        return await Way.to_the_point(self, armed, seconds=seconds)

    async def drive(self, seconds: float) -> None:
        """Until the condition was there and is gone."""
        work = asyncio.create_task(self.load.run(seconds))
        try:
            await self._until(degraded=True)
            await self._until(degraded=False)
        finally:
            await work

    async def _until(self, *, degraded: bool) -> None:
        end_s = time.monotonic() + _DEGRADED_S
        while degraded is not await self._degraded():
            if time.monotonic() > end_s:
                raise Broken(f"DEGRADED_STORE is not {degraded} after {_DEGRADED_S:g} s")
            await asyncio.sleep(LOOK_S)

    async def _degraded(self) -> bool:
        status = await self.rig.ask_node("Status", node.StatusRequest(), node.StatusResponse)
        return "DEGRADED_STORE" in {one.kind for one in status.conditions}


class Forgetful(Scene):
    """The store keeps little, and is cleaned every moment."""

    async def spoil(self) -> None:
        """From now on; what is told from then on may be forgotten again."""
        self.rig.variables[FORGETFUL] = "1"

    async def check(self) -> None:
        """As ever, but for the past."""
        for life in self.load.lives:
            life.lose_history()
        await Way.check(self)


class Older(Scene):
    """The store is of the first format, and is migrated."""

    async def spoil(self) -> None:
        """Take away what the newer format has; records and journal are the older one's too."""
        path = self.rig.folder / STORE_NAME
        store = sqlite3.connect(path)
        with contextlib.closing(store):
            store.executescript(_TO_FORMAT_1)
        path.with_name(f"{path.name}-mark").unlink(missing_ok=True)

    async def drive(self, seconds: float) -> None:
        """A little of anything."""
        await self.load.run(min(seconds, SHORT_S))


class Copied(Scene):
    """The store is copied while the agent works."""

    async def drive(self, seconds: float) -> None:
        """Two copies, beside the load."""
        work = asyncio.create_task(self.load.run(min(seconds, SHORT_S)))
        try:
            for _ in range(2):
                await self.rig.ask_node("Backup", node.BackupRequest(), node.BackupResponse)
        finally:
            await work
