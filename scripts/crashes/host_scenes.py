"""Scenes of what befalls sandboxes and their host while no agent is there, or unseen by it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Final

import psutil

from cubelet.api.v1 import node_pb2 as node
from cubelet.api.v1 import sandboxes_pb2 as api
from cubelet.places import STORE_NAME
from cubelet.runtime.note import read_note
from cubelet.runtime.places import place_of
from scripts.crashes.lives import RUNNING, Life
from scripts.crashes.load import Broken, name_of
from scripts.crashes.rig import Died, Refused
from scripts.crashes.scene import LOOK_S, Scene
from scripts.crashes.ways import Way
from tests.crash.points import BOOT_ID
from tests.support.rootfs import build_rootfs_tar

_FOUND_S: Final = 10.0
_DIVERGED_S: Final = 10.0
_FREEZER: Final = Path("/sys/fs/cgroup/freezer")


class Force(Scene):
    """Shims are killed, and what they leave is deleted by force."""

    async def drive(self, seconds: float) -> None:
        """Kill half of the shims, and delete what was theirs."""
        del seconds
        for life in self.load.living()[::2]:
            life.may_end = True
            _kill(_shim_of(self, life))
            await self.load.send(life, life.ask("Delete", self.dice))


class Frozen(Scene):
    """A container is frozen behind its shim's back, and repaired."""

    async def drive(self, seconds: float) -> None:
        """Freeze each that runs, and ask for its repair."""
        del seconds
        for life in self.load.living():
            if life.state != RUNNING:
                await self.load.send(life, life.ask("Resume", self.dice))
            _freezer_of(self, life).write_text("FROZEN")
            await self._repair(life)

    async def _repair(self, life: Life) -> None:
        """Two looks have to differ before there is anything to repair."""
        end_s = time.monotonic() + _DIVERGED_S
        while True:
            try:
                await self.rig.ask("Repair", api.RepairRequest(id=life.id), api.RepairResponse)
            except Refused as refused:
                if refused.reason != "NOT_DIVERGED" or time.monotonic() > end_s:
                    raise
                await asyncio.sleep(LOOK_S)
            else:
                return


class Template(Scene):
    """A template is a tar that was not unpacked yet, and an earlier agent died in unpacking it."""

    async def spoil(self) -> None:
        """Another tar under the same name, and a half unpacked one."""
        for spec in self.seats:
            os.utime(spec.template)
        unfinished = self.rig.folder / "unpacked" / ".unpacking-x"
        unfinished.mkdir(parents=True)

    async def drive(self, seconds: float) -> None:
        """Create from it."""
        await self.load.delete_all()
        await Scene.drive(self, seconds)


class Orphans(Scene):
    """Records are lost, and what they were of is removed by the doctor."""

    async def spoil(self) -> None:
        """Take the rows of half of the sandboxes out of the store."""
        lost = self.load.living()[::2]
        store = sqlite3.connect(self.rig.folder / STORE_NAME)
        with contextlib.closing(store), store:
            for life in lost:
                store.execute("DELETE FROM sandboxes WHERE id = ?", [life.id])
        for life in lost:
            life.forget()

    async def drive(self, seconds: float) -> None:
        """Ask the doctor until he finds no more."""
        end_s = time.monotonic() + max(seconds, _FOUND_S)
        while True:
            request = node.DoctorRequest(fix=True)
            found = await self.rig.ask_node("Doctor", request, node.DoctorResponse)
            if not found.orphans:
                return
            if time.monotonic() > end_s:
                raise Broken(f"orphans stay: {found}")

    def check_store(self) -> None:
        """It misses records that its journal has, as we took them."""

    async def check(self) -> None:
        """As ever, once the doctor was there to the end."""
        if not await self.rig.start():
            raise Broken("the agent does not start again")
        with contextlib.suppress(Died):
            await self.drive(_FOUND_S)
        await self.rig.kill()
        await Way.check(self)


class Reboot(Scene):
    """The host was started anew: no shim lives, and every record says so."""

    async def spoil(self) -> None:
        """End every shim and what it runs."""
        for life in self.load.living():
            life.may_end = True
            _kill(_shim_of(self, life))
        for process in psutil.process_iter(["cwd"]):
            if Path(process.info["cwd"] or "/").is_relative_to(self.rig.folder / "sandboxes"):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        self.rig.variables[BOOT_ID] = "another-boot"

    async def drive(self, seconds: float) -> None:
        """Each is shown as ended, with the cause, and can be deleted."""
        end_s = time.monotonic() + seconds
        lives = self.load.living()
        while wrong := [one for one in (await self.rig.listed()).values() if not _ended(one)]:
            if time.monotonic() > end_s:
                raise Broken(f"the host was started anew, and this lives on: {wrong[0]}")
            await asyncio.sleep(LOOK_S)
        if missing := {life.id for life in lives} - (await self.rig.listed()).keys():
            raise Broken(f"the host was started anew, and the records of {missing} are gone")
        await self.load.send(lives[0], lives[0].ask("Delete", self.dice))


def _ended(sandbox: api.Sandbox) -> bool:
    return name_of(sandbox) == "EXITED" and bool(sandbox.exit_reason)


def _shim_of(scene: Scene, life: Life) -> int:
    note = read_note(place_of(scene.rig.folder, life.id))
    if note is None or note.handle is None:
        raise Broken(f"the note of {life.id} is missing, and it was acknowledged as {life.state}")
    return note.handle.shim_pid


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _freezer_of(scene: Scene, life: Life) -> Path:
    note = read_note(place_of(scene.rig.folder, life.id))
    if note is None or note.handle is None:
        raise Broken(f"the note of {life.id} is missing, and it was acknowledged as {life.state}")
    for line in Path(f"/proc/{note.handle.pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "freezer":
            return _FREEZER / path.lstrip("/") / "freezer.state"
    raise Broken(f"{life.id} is in no freezer")


def template(home: Path) -> str:
    """A root for containers, as a tar."""
    with tempfile.TemporaryDirectory(dir=home) as folder:
        tar = build_rootfs_tar(Path(folder) / "root.tar")
        return str(tar.rename(home / "root.tar"))
