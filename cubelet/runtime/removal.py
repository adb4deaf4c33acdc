"""Ending everything that a sandbox has: by its shim if that answers, else by identity.

Each step has a limit, so that a whole removal ends within the engine's deadline however much of the
sandbox hangs. Success is not what the steps say but what is left at the end: nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from cubelet.core.faults import Code, Reason
from cubelet.core.model import Handle, Record
from cubelet.runtime.answers import init_of, shim_of
from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.faults import failed
from cubelet.runtime.identity import Identity, find_by_cwd
from cubelet.runtime.kinds import Kind
from cubelet.runtime.launch import containerd_address
from cubelet.runtime.links import Links
from cubelet.runtime.mounts import mounts_below, unmount_below
from cubelet.runtime.note import read_address, read_note
from cubelet.runtime.places import Place, place_of
from shimclient import BootstrapError, ConnectFailed, NotFound, ShimError
from shimclient.address import socket_path
from shimclient.bootstrap import delete_shim

_log = structlog.get_logger("cubelet.removal")

#: Together with the time to ask below 25 s, and so below the engine's limit for a removal.
_SHUTDOWN_TIMEOUT_S: Final = 1.0
_KILL_TIMEOUT_S: Final = 3.0
_BINARY_TIMEOUT_S: Final = 5.0
_FILES_TIMEOUT_S: Final = 5.0
_GROUP_TIMEOUT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Remover:
    """Removes sandboxes of one kind, whatever state they are in."""

    kind: Kind
    config: RuntimeConfig
    links: Links

    async def remove(self, record: Record) -> None:
        """End and remove it all; what is not there is fine. Raises CallFailed with what is left."""
        remains = await self._find(record)
        if remains is None:
            return
        if not await self._by_shim(remains):
            await self._by_force(remains)
        await self.links.drop(record.id)
        await self._clear(remains)
        if left := remains.left():
            message = f"of sandbox {record.id} there is still left: {', '.join(left)}"
            raise failed(Code.UNAVAILABLE, Reason.RUNTIME_UNREACHABLE, message)

    async def _find(self, record: Record) -> _Remains | None:
        """What there may be of it; None: there is nothing, or only another's of the same id."""
        place = place_of(self.config.state_dir, record.id)
        note = read_note(place)
        if note is not None and note.incarnation != record.incarnation:
            return None
        handle = record.handle or (note.handle if note else None) or read_address(place)
        if handle is None and not place.bundle.exists():
            return None
        if handle is not None and handle.shim_pid:
            shims = [shim_of(handle)]
        else:
            shims = await asyncio.to_thread(find_by_cwd, place.bundle, record.id)
        return _Remains(record, self.kind, place, handle, shims)

    async def _by_shim(self, remains: _Remains) -> bool:
        """Let the shim end its task and itself; whether all of that worked out."""
        handle, sandbox_id = remains.handle, remains.record.id
        if handle is None:
            return False
        try:
            async with asyncio.timeout(self.config.ask_timeout_s):
                link = self.links.of(sandbox_id, remains.place)
                task = await link.task(handle.address, handle.version)
                kill = task.kill(sandbox_id, signal.SIGKILL, all_=True, local_timeout_s=None)
                await _unless_gone(kill)
                await _unless_gone(task.wait(sandbox_id))
                await _unless_gone(task.delete(sandbox_id, local_timeout_s=None))
                await task.shutdown(sandbox_id, local_timeout_s=None)
        except (ShimError, TimeoutError) as error:
            reason = str(error) or f"no end within {self.config.ask_timeout_s:g} s"
            _log.info("shim_does_not_help", sandbox=sandbox_id, reason=reason)
            return False
        # Its task is gone. What it still waits for, say a reader of its events, is nothing to us.
        for shim in remains.shims:
            if not await shim.ended(_SHUTDOWN_TIMEOUT_S):
                shim.kill()
                await shim.ended(_KILL_TIMEOUT_S)
        return not remains.living()

    async def _by_force(self, remains: _Remains) -> None:
        """Kill shim and first process, then let the shim's binary clean up after a dead shim.

        The shim goes first, so that it makes nothing anew. What is frozen by a control group of
        version 1 dies of its SIGKILL only when it is thawed.
        """
        for process in remains.processes():
            with contextlib.suppress(PermissionError):
                process.kill()
        if self.kind.container:
            await self.kind.cgroup(remains.record.id).kill(_KILL_TIMEOUT_S)
        for shim in remains.shims:
            await shim.ended(_KILL_TIMEOUT_S)
        try:
            await delete_shim(
                self.kind.command,
                namespace=remains.record.namespace,
                id=remains.record.id,
                bundle=remains.place.bundle,
                containerd_address=containerd_address(self.config),
                timeout_s=_BINARY_TIMEOUT_S,
            )
        except BootstrapError as error:
            _log.warning("shim_delete_failed", sandbox=remains.record.id, reason=str(error))

    async def _clear(self, remains: _Remains) -> None:
        """Mounts, control groups and files; but nothing under the feet of what still lives."""
        if remains.living():
            return
        record, place = remains.record, remains.place
        if self.kind.container:
            await self.kind.cgroup(record.id).remove(_GROUP_TIMEOUT_S)
        try:
            async with asyncio.timeout(_FILES_TIMEOUT_S):
                await asyncio.to_thread(self._clear_files, record, place, remains.handle)
        except (OSError, TimeoutError) as error:
            _log.warning("files_not_removed", sandbox=record.id, reason=str(error))

    def _clear_files(self, record: Record, place: Place, handle: Handle | None) -> None:
        """The note's folder goes last of all, so that a removal cut short is found again."""
        unmount_below(place.bundle)
        if self.kind.runtime_root is not None:
            _remove_tree(self.kind.runtime_root / record.namespace / record.id)
        if handle is not None:
            _remove_socket(handle.address)
        _remove_tree(place.bundle)


@dataclass(frozen=True, slots=True)
class _Remains:
    """What there is of a sandbox that is to be removed."""

    record: Record
    kind: Kind
    place: Place
    handle: Handle | None
    shims: list[Identity]

    def processes(self) -> list[Identity]:
        """The shim and the first process, in this order, whether they live or not."""
        return [*self.shims, *([init_of(self.handle)] if self.handle else [])]

    def living(self) -> list[str]:
        """Processes of it that still run, for people."""
        found = [f"process {process.pid}" for process in self.processes() if process.alive]
        if self.kind.container and (pids := self.kind.cgroup(self.record.id).pids()):
            found.append(f"processes {sorted(pids)[:10]} in its control group")
        return found

    def left(self) -> list[str]:
        """Everything of it that is still there, for people."""
        left = [*self.living(), *mounts_below(self.place.bundle)]
        if self.kind.container and self.kind.cgroup(self.record.id).exists:
            left.append(f"control group {self.kind.cgroup(self.record.id).path}")
        if self.place.bundle.exists():
            left.append(str(self.place.bundle))
        return left


async def _unless_gone(call: Awaitable[object]) -> None:
    """That the shim knows no such task (any more) is what we want."""
    with contextlib.suppress(NotFound):
        await call


def _remove_socket(address: str) -> None:
    """A shim that was killed leaves its socket; an address that is none has left nothing."""
    with contextlib.suppress(ConnectFailed):
        Path(socket_path(address)).unlink(missing_ok=True)


def _remove_tree(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
