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
from cubelet.core.model import Record
from cubelet.crashpoints import reach
from cubelet.runtime.answers import shim_of
from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.faults import failed
from cubelet.runtime.identity import find_by_cwd
from cubelet.runtime.kinds import Kind
from cubelet.runtime.launch import containerd_address
from cubelet.runtime.links import Links
from cubelet.runtime.mounts import unmount_below
from cubelet.runtime.note import read_address, read_note
from cubelet.runtime.places import place_of
from cubelet.runtime.remains import Remains
from shimclient import BootstrapError, ConnectFailed, NotFound, ShimError
from shimclient.address import socket_path
from shimclient.bootstrap import Run, delete_shim, run_binary

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
    #: How the shim's binary is run: a zygote forks, so that many removals start no Python each.
    run: Run = run_binary

    async def remove(self, record: Record) -> None:
        """End and remove it all; what is not there is fine. Raises CallFailed with what is left."""
        remains = await self._find(record)
        if remains is not None:
            await self.end(remains)

    async def end(self, remains: Remains) -> None:
        """End and remove what was found. Raises CallFailed with what is left."""
        reach("runtime.removal.begin")
        if not await self._by_shim(remains):
            await self._by_force(remains)
        reach("runtime.removal.killed")
        await self.links.drop(remains.sandbox_id)
        await self._clear(remains)
        reach("runtime.removal.ended")
        if left := remains.left():
            message = f"of sandbox {remains.sandbox_id} there is still left: {', '.join(left)}"
            raise failed(Code.UNAVAILABLE, Reason.RUNTIME_UNREACHABLE, message)

    async def _find(self, record: Record) -> Remains | None:
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
        return Remains(
            sandbox_id=record.id,
            namespace=record.namespace,
            kind=self.kind,
            place=place,
            handle=handle,
            shims=shims,
        )

    async def _by_shim(self, remains: Remains) -> bool:
        """Let the shim end its task and itself; whether all of that worked out."""
        handle, sandbox_id = remains.handle, remains.sandbox_id
        if handle is None:
            return False
        try:
            async with asyncio.timeout(self.config.ask_timeout_s):
                link = self.links.of(sandbox_id, remains.place)
                task = await link.task(handle.address, handle.version)
                kill = task.kill(sandbox_id, signal.SIGKILL, all_=True, local_timeout_s=None)
                reach("runtime.kill.begin")
                await _unless_gone(kill)
                reach("runtime.kill.returned")
                await _unless_gone(task.wait(sandbox_id))
                reach("runtime.wait.returned")
                await _unless_gone(task.delete(sandbox_id, local_timeout_s=None))
                reach("runtime.delete.returned")
                await task.shutdown(sandbox_id, local_timeout_s=None)
        except (ShimError, TimeoutError) as error:
            reason = str(error) or f"no end within {self.config.ask_timeout_s:g} s"
            _log.info("shim_does_not_help", sandbox=sandbox_id, reason=reason)
            return False
        reach("runtime.shutdown.returned")
        # Its task is gone. What it still waits for, say a reader of its events, is nothing to us.
        for shim in remains.shims:
            if not await shim.ended(_SHUTDOWN_TIMEOUT_S):
                shim.kill()
                await shim.ended(_KILL_TIMEOUT_S)
        return not remains.living()

    async def _by_force(self, remains: Remains) -> None:
        """Kill shim and first process, then let the shim's binary clean up after a dead shim.

        The shim goes first, so that it makes nothing anew. What is frozen by a control group of
        version 1 dies of its SIGKILL only when it is thawed.
        """
        reach("runtime.force.begin")
        for process in remains.processes():
            with contextlib.suppress(PermissionError):
                process.kill()
        if self.kind.container:
            await self.kind.cgroup(remains.sandbox_id).kill(_KILL_TIMEOUT_S)
        reach("runtime.force.killed")
        killed = (*remains.shims, *remains.others)
        await asyncio.gather(*(process.ended(_KILL_TIMEOUT_S) for process in killed))
        reach("runtime.force.ended")
        if not remains.place.bundle.exists():
            return  # The binary works there.
        try:
            await delete_shim(
                self.kind.command,
                namespace=remains.namespace,
                id=remains.sandbox_id,
                bundle=remains.place.bundle,
                containerd_address=containerd_address(self.config),
                timeout_s=_BINARY_TIMEOUT_S,
                run=self.run,
            )
        except BootstrapError as error:
            _log.warning("shim_delete_failed", sandbox=remains.sandbox_id, reason=str(error))

    async def _clear(self, remains: Remains) -> None:
        """Mounts, control groups and files; but nothing under the feet of what still lives."""
        if remains.living():
            return
        if self.kind.container:
            await self.kind.cgroup(remains.sandbox_id).remove(_GROUP_TIMEOUT_S)
            reach("runtime.group.removed")
        try:
            async with asyncio.timeout(_FILES_TIMEOUT_S):
                await asyncio.to_thread(self._clear_files, remains)
        except (OSError, TimeoutError) as error:
            _log.warning("files_not_removed", sandbox=remains.sandbox_id, reason=str(error))

    def _clear_files(self, remains: Remains) -> None:
        """The note's folder goes last of all, so that a removal cut short is found again."""
        reach("runtime.files.begin")
        unmount_below(remains.place.bundle)
        reach("runtime.mounts.removed")
        if self.kind.runtime_root is not None:
            remove_tree(self.kind.runtime_root / remains.namespace / remains.sandbox_id)
            reach("runtime.root.removed")
        if remains.handle is not None:
            _remove_socket(remains.handle.address)
            reach("runtime.socket.removed")
        for path in remains.outside:
            remove_tree(path) if path.is_dir() else path.unlink(missing_ok=True)
        remove_tree(remains.place.bundle)
        reach("runtime.folder.removed")


async def _unless_gone(call: Awaitable[object]) -> None:
    """That the shim knows no such task (any more) is what we want."""
    with contextlib.suppress(NotFound):
        await call


def _remove_socket(address: str) -> None:
    """A shim that was killed leaves its socket; an address that is none has left nothing."""
    with contextlib.suppress(ConnectFailed):
        Path(socket_path(address)).unlink(missing_ok=True)


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it; fine where there is none. Raises OSError."""
    if folder.exists():
        shutil.rmtree(folder)
