"""Freezing and thawing a container past its shim, where shim and kernel disagree.

A runc that is killed after it has frozen (or thawed) leaves a shim with the old state, which then
refuses both pause and resume: only runc itself gets the container out of it.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from cubelet.core.faults import Code, Reason
from cubelet.core.model import Record
from cubelet.crashpoints import reach
from cubelet.runtime.answers import init_of
from cubelet.runtime.cgroups import Cgroup
from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.faults import failed, one_line
from cubelet.runtime.kinds import Kind
from cubelet.runtime.reach import Reach

_log = structlog.get_logger("cubelet.heal")

#: Below the engine's limit for a heal. runc takes some milliseconds.
_RUNC_TIMEOUT_S: Final = 8.0
_KILL_GRACE_S: Final = 1.0
_SAID_BYTES_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Healer:
    """Brings the containers of one kind into the state that their shims tell."""

    kind: Kind
    config: RuntimeConfig
    reach: Reach

    async def heal(self, record: Record, *, frozen: bool) -> None:
        """Freeze or thaw it; see the port. What counts is what the kernel says in the end."""
        group = self._group_of(record)
        if group.frozen is frozen:
            return
        reach("runtime.heal.begin")
        said = await self._runc("pause" if frozen else "resume", record)
        reach("runtime.heal.ended")
        _log.info("healed", sandbox=record.id, frozen=group.frozen, said=said)
        if group.frozen is not frozen:
            wanted = "frozen" if frozen else "thawed"
            message = f"sandbox {record.id} could not be {wanted}: {said or 'runc said nothing'}"
            raise failed(Code.ABORTED, Reason.RUNTIME_REFUSED, message)

    def _group_of(self, record: Record) -> Cgroup:
        """Its control group, with its own first process in it and not another's of that id."""
        if not self.kind.capabilities.heals:
            message = f"runtime {self.kind.name} can freeze and thaw only by its shim"
            raise failed(Code.FAILED_PRECONDITION, Reason.HEAL_UNSUPPORTED, message)
        group, handle = self.kind.cgroup(record.id), self.reach.handle(record)
        if handle is None or not init_of(handle).alive or handle.pid not in group.pids():
            message = f"sandbox {record.id} has no process in control group {group.path}"
            raise failed(Code.FAILED_PRECONDITION, Reason.NOT_RUNNING, message)
        return group

    async def _runc(self, command: str, record: Record) -> str:
        """Run runc on the container as the shim does; what it said, which is nothing if it worked.

        It is a leader of its own group, so that with a wrapper all of it ends at the limit.
        """
        root = str(self.config.runc_root / record.namespace)
        said = os.memfd_create("runc")
        try:
            process = await asyncio.create_subprocess_exec(
                *(self.config.runc_binary, "--root", root, command, record.id),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
            if not await _ended(process):
                return f"no end of runc {command} within {_RUNC_TIMEOUT_S:g} s"
            return one_line(os.pread(said, _SAID_BYTES_MAX, 0).decode(errors="replace"))
        except OSError as error:
            return f"cannot run {self.config.runc_binary}: {error.strerror}"
        finally:
            os.close(said)


async def _ended(process: asyncio.subprocess.Process) -> bool:
    """Wait for its end; at the limit, or where we are cancelled, it is killed."""
    try:
        async with asyncio.timeout(_RUNC_TIMEOUT_S):
            await process.wait()
            return True
    except TimeoutError:
        return False
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with suppress(TimeoutError):  # The kernel holds it; it dies when that lets go of it.
                async with asyncio.timeout(_KILL_GRACE_S):
                    await process.wait()
