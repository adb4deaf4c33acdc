"""What there is on this host of sandboxes, whether a record owns it or not, and its removal."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cubelet.core.faults import Code, Reason
from cubelet.engine.ports import Trace
from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.faults import failed, not_started
from cubelet.runtime.kinds import KINDS, PROCESS, SHIMV2, Kind
from cubelet.runtime.links import Links
from cubelet.runtime.remains import Remains
from cubelet.runtime.removal import Remover
from cubelet.runtime.sighting import Sighting
from cubelet.runtime.snapshots import discard, folder_of, kept
from cubelet.runtime.survey import finish, survey

_SNAPSHOT_TIMEOUT_S: Final = 20.0


class Orphanage:
    """One for all runtimes of an agent, as one look over the host sees what is of any of them.

    `usable` are the names of these runtimes; what is of none of them is told by the first.
    """

    def __init__(self, config: RuntimeConfig, usable: Sequence[str]) -> None:
        self._config = config
        self._usable = usable
        self._kinds = {name: make(config) for name, make in KINDS.items()}
        self._links = Links()
        self._coming: asyncio.Task[Mapping[str, Sighting]] | None = None
        #: One thread at a time, so that a disk that hangs does not take all of them. Whoever holds
        #: it is never cancelled, as that would not end the thread.
        self._turn = asyncio.Lock()

    async def traces(self, runtime: str, but: Collection[str]) -> Sequence[Trace]:
        """What this runtime is to tell of."""
        seen = await self._look()
        told = [one for name, one in seen.items() if name not in but]
        await self._finish(told)
        found = [self._trace(one) for one in told]
        mine = [trace for trace in found if self._teller(trace.runtime) == runtime]
        if self._keeper() == runtime:
            ids = await asyncio.to_thread(kept, self._config.snapshots_dir)
            mine += [self._snapshot(snapshot_id, runtime) for snapshot_id in ids]
        return mine

    async def clear(self, trace: Trace) -> None:
        """Look again, and remove what there is by then. Raises CallFailed with what is left."""
        if trace.snapshot_id:
            await self._discard(trace.snapshot_id)
            return
        one = (await self._look()).get(trace.sandbox_id)
        if one is None:
            return
        await self._finish([one])
        kind = self._kind_of(one)
        try:
            await Remover(kind, self._config, self._links).end(_remains(one, kind))
        finally:
            await self._links.drop(one.sandbox_id)

    async def _look(self) -> Mapping[str, Sighting]:
        """One look for all who ask before it has begun, so that it is of after their question."""
        if self._coming is None:
            self._coming = asyncio.create_task(self._survey())
            self._coming.add_done_callback(_taken_notice)
        return await asyncio.shield(self._coming)

    async def _survey(self) -> Mapping[str, Sighting]:
        async with self._turn:
            self._coming = None
            return await asyncio.to_thread(survey, self._config)

    async def _finish(self, sightings: Sequence[Sighting]) -> None:
        """Once for all who share a look."""
        work = asyncio.create_task(self._finish_in_turn(sightings))
        work.add_done_callback(_taken_notice)
        await asyncio.shield(work)

    async def _finish_in_turn(self, sightings: Sequence[Sighting]) -> None:
        async with self._turn:
            if left := [one for one in sightings if not one.finished]:
                await asyncio.to_thread(finish, self._config, left)

    async def _discard(self, snapshot_id: str) -> None:
        folder = folder_of(self._config.snapshots_dir, snapshot_id)
        try:
            async with asyncio.timeout(_SNAPSHOT_TIMEOUT_S):
                await asyncio.to_thread(discard, self._config.snapshots_dir, snapshot_id)
        except OSError as trouble:
            raise not_started(trouble, f"cannot remove {folder}") from trouble
        except TimeoutError:
            message = f"{folder} was not removed within {_SNAPSHOT_TIMEOUT_S:g} s"
            raise failed(Code.UNAVAILABLE, Reason.RUNTIME_UNREACHABLE, message) from None

    def _trace(self, one: Sighting) -> Trace:
        return Trace(
            sandbox_id=one.sandbox_id,
            runtime=self._kind_of(one).name,
            what=one.lines,
            record=one.note.told if one.note else None,
        )

    def _snapshot(self, snapshot_id: str, runtime: str) -> Trace:
        what = (f"snapshot {folder_of(self._config.snapshots_dir, snapshot_id)}",)
        return Trace(sandbox_id="", snapshot_id=snapshot_id, runtime=runtime, what=what)

    def _teller(self, name: str) -> str:
        return name if name in self._usable else self._usable[0]

    def _keeper(self) -> str:
        """Who tells of snapshots."""
        able = [name for name in self._usable if self._kinds[name].capabilities.snapshots]
        return [*able, *self._usable][0]

    def _kind_of(self, one: Sighting) -> Kind:
        """By what only containers have, else by its note, else by its shim's command."""
        if one.container:
            return self._kinds[SHIMV2]
        noted = one.note.record.spec.runtime if one.note and one.note.record else ""
        commands = [shim.command for shim in one.shims]
        guesses = [kind.name for kind in self._kinds.values() if _is_of(kind, commands)]
        found = [name for name in (noted, *guesses) if name in self._kinds]
        return self._kinds[found[0] if found else PROCESS]


def _taken_notice(task: asyncio.Task[Any]) -> None:
    """Those who wait have its failure; nobody may be left who does."""
    if not task.cancelled():
        task.exception()


def _is_of(kind: Kind, commands: Sequence[Sequence[str]]) -> bool:
    """Whether one of them runs the shim of this kind: the binary, or the module of ours."""
    program = Path(kind.command[-1]).name
    return any(program in {Path(word).name for word in command} for command in commands)


def _remains(one: Sighting, kind: Kind) -> Remains:
    """What is to be removed: by what was seen alone, not by what a file says of processes."""
    return Remains(
        sandbox_id=one.sandbox_id,
        namespace=one.namespaces[0],
        kind=kind,
        place=one.place,
        handle=one.handle if one.shims else None,
        shims=[shim.identity for shim in one.shims],
        others=[member.identity for member in one.members],
        outside=[*one.states, *one.sockets],
    )
