"""One restart with very many sandboxes: how soon each view is true again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cubelet.runtime.places import place_of
from scripts.crashes.checks import CONVERGED_S, nothing_left
from scripts.crashes.lives import PAUSED, Life
from scripts.crashes.load import Broken, Load, name_of, specs
from scripts.crashes.rig import Rig
from shimclient.client import Client
from shimclient.task import Task

_AT_ONCE: Final = 16
_CHANGED_EACH: Final = 10
_SHIM_S: Final = 30.0
_GIVE_UP_S: Final = 30.0
#: A list of so many costs the agent a part of the time that is measured, so it is asked for rarely.
_LOOK_S: Final = 0.2
#: Nothing is made quick here: the agent is as it is shipped.
_CONFIG: Final = '[runtime]\ndefault = "fake"\n'


@dataclass(frozen=True, slots=True)
class Restart:
    """Seconds from the start of the process until it serves, and from then until all is true."""

    sandboxes: int
    serving_s: float
    converged_s: float


async def restart(home: Path, size: int, dice: random.Random) -> Restart:
    """Kill the agent, change every tenth sandbox behind its back, and start it. Raises Broken."""
    folder = home / "many"
    folder.mkdir(mode=0o700)
    rig = Rig(folder, _CONFIG)
    load = Load(rig, dice, specs("fake", size))
    try:
        if not await rig.start():
            raise Broken("the agent did not start on an empty folder")
        lives = load.people()
        await _each(lives, lambda life: load.send(life, life.create(dice)))
        await rig.kill()
        for life in lives[::_CHANGED_EACH]:
            life.state = PAUSED
        await _each(lives[::_CHANGED_EACH], lambda life: _pause(folder, life.id))
        if not await rig.start():
            raise Broken("the agent does not start again")
        found = Restart(len(lives), rig.served_s - rig.started_s, await _true(rig, lives))
        await _each(lives, lambda life: load.send(life, life.ask("Delete", dice)))
        rig.terminate()
        await rig.gone()
        await nothing_left(rig)
    finally:
        await rig.close()
    if found.converged_s > CONVERGED_S:
        raise Broken(f"{found.sandboxes} sandboxes took {found.converged_s:.2f} s to converge")
    return found


async def _true(rig: Rig, lives: Sequence[Life]) -> float:
    """Wait until each was asked since the start, and shows as what it is."""
    while True:
        listed = await rig.listed()
        age_s = time.monotonic() - rig.served_s
        wrong = [
            f"{life.id} is {life.state}, and shows as {name_of(listed[life.id])}"
            for life in lives
            if not listed[life.id].HasField("last_observation")
            or name_of(listed[life.id]) != life.state
        ]
        if not wrong:
            return age_s
        if age_s > _GIVE_UP_S:
            raise Broken(f"{len(wrong)} views are not true after {age_s:.0f} s: {wrong[:3]}")
        await asyncio.sleep(_LOOK_S)


async def _pause(folder: Path, sandbox_id: str) -> None:
    address = place_of(folder, sandbox_id).bundle / "address"
    client = await Client.connect(address.read_text())
    try:
        await Task(client).pause(sandbox_id, local_timeout_s=_SHIM_S)
    finally:
        await client.close()


async def _each(lives: Sequence[Life], work: Callable[[Life], Awaitable[None]]) -> None:
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(life: Life) -> None:
        async with turns:
            await work(life)

    await asyncio.gather(*(one(life) for life in lives))
