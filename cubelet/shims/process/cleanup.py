"""The work of ``delete``: end what a dead shim left, by identity and never by a pid alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Final

from cubelet.shims.process.cgroups import pids_of, remove_group
from cubelet.shims.process.errors import StillAlive
from cubelet.shims.process.freeze_cgroup import V1, V2
from cubelet.shims.process.identity import PROC, Identity, boot_id, identify, read_proc
from cubelet.shims.process.killing import kill_until_none, signal_if_allowed
from cubelet.shims.process.record import Record, record_from
from cubelet.shims.process.tree import look
from shimclient.skeleton.serve import STATE_FILE_NAME
from shimclient.skeleton.statefile import StateFile
from shimclient.task import Exit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from shimclient.skeleton.flags import Flags

_KILLED: Final = 128 + signal.SIGKILL


def cleanup(flags: Flags, bundle: Path) -> Exit:
    """End what the bundle's record tells of; how the task ended (killed, as far as we know).

    Fine where nothing is recorded. Raises StillAlive, and StateFileBroken for a record of another
    kind, which is left as it is.
    """
    del flags
    state = StateFile(bundle / STATE_FILE_NAME)
    pid = asyncio.run(end_recorded(state))
    return Exit(pid=pid, exit_status=_KILLED, exited_at_ns=time.time_ns())


async def end_recorded(state: StateFile) -> int:
    """End all that the state file tells of, and forget it; the first process's pid, or 0."""
    stored = state.load()
    if stored is None:
        return 0
    record = record_from(stored)
    if record.boot_id == boot_id():
        await _end(record)
    state.remove()
    return record.init.pid


async def _end(record: Record) -> None:
    for identity in _living(record):
        signal_if_allowed(identity, signal.SIGKILL)
    for group in record.groups:
        for dialect in (V1, V2):  # What is frozen dies of its SIGKILL only when it is thawed.
            with contextlib.suppress(OSError):
                (group / dialect.control).write_text(dialect.thaw)
    if left := await kill_until_none(lambda: _living(record)):
        pids = ", ".join(str(identity.pid) for identity in left)
        raise StillAlive(f"processes {pids} do not die; run delete again later")
    for group in record.groups:
        if not await remove_group(group):
            raise StillAlive(f"cgroup {group} is still in use; run delete again later")


def _living(record: Record) -> list[Identity]:
    """The shim itself if it hangs, its first process, all in its groups, all with its mark."""
    found = {record.shim, record.init, *_marked(record)}
    for group in record.groups:
        found.update(_identities(pids_of(group)))
    return [identity for identity in found if _lives(identity)]


def _identities(pids: Iterable[int]) -> Iterator[Identity]:
    return (identity for pid in pids if (identity := identify(pid)) is not None)


def _lives(identity: Identity) -> bool:
    process = look(identity.pid)
    return process is not None and process.identity == identity and not process.dead


def _marked(record: Record) -> Iterator[Identity]:
    """Processes with the mark in their environment, none of them older than the shim.

    The identity is read first: if the pid changes hands in between, it fits nobody any more.
    """
    mark = record.mark.encode()
    with os.scandir(PROC) as entries:
        pids = [int(entry.name) for entry in entries if entry.name.isdigit()]
    for identity in _identities(pids):
        if identity.start_ticks >= record.shim.start_ticks and mark in _environment(identity.pid):
            yield identity


def _environment(pid: int) -> list[bytes]:
    return (read_proc(f"{PROC}/{pid}/environ") or b"").split(b"\0")
