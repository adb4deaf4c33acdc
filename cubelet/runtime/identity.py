"""A process by identity: pid and start time, so that a reused pid is never taken for it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
#: In /proc/PID/stat behind the name, counted from 0: the state, the threads, the start time.
_STATE, _THREADS, _START_TICKS = 0, 17, 19


@dataclass(frozen=True, slots=True)
class Identity:
    """`start_ticks` counts the kernel's ticks since boot; 0 says that no such process was seen."""

    pid: int
    start_ticks: int

    @property
    def alive(self) -> bool:
        """Whether this very process still runs; what only waits to be reaped does not."""
        return self.start_ticks > 0 and identify(self.pid) == self

    def kill(self) -> bool:
        """Send SIGKILL to this process and no other; whether it was there to be killed.

        Raises PermissionError where it is somebody else's.
        """
        with _opened(self) as pidfd:
            if pidfd is None:
                return False
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            return True

    async def ended(self, timeout_s: float) -> bool:
        """Wait until it runs no more; False where it still does after `timeout_s`."""
        with _opened(self) as pidfd:
            if pidfd is None:
                return True
            over = asyncio.Event()
            loop = asyncio.get_running_loop()
            loop.add_reader(pidfd, over.set)
            try:
                async with asyncio.timeout(timeout_s):
                    await over.wait()
            except TimeoutError:
                return not self.alive
            finally:
                loop.remove_reader(pidfd)
            return True


@cache
def boot_id() -> str:
    """Of the host as it runs now; "" where the kernel does not say. Start times count from it."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def identify(pid: int) -> Identity | None:
    """The process that has this pid now; None where there is none, or only its remains."""
    fields = _stat_fields(pid)
    if fields is None:
        return None
    # A leader that has ended counts as long as other threads of it run.
    if fields[_STATE] in "ZX" and int(fields[_THREADS]) <= 1:
        return None
    return Identity(pid, int(fields[_START_TICKS]))


def find_by_cwd(folder: Path, argument: str) -> list[Identity]:
    """Processes that work in this very folder and have this argument: a shim without a record.

    Looks at every process of the host, so it is for the rare case that nothing better is known.
    """
    found = []
    with os.scandir(_PROC) as entries:
        pids = [int(entry.name) for entry in entries if entry.name.isdigit()]
    for pid in pids:
        # The identity is read first: if the pid changes hands in between, it fits nobody any more.
        identity = identify(pid)
        with contextlib.suppress(OSError):
            works_here = (_PROC / f"{pid}/cwd").readlink() == folder
            arguments = (_PROC / f"{pid}/cmdline").read_bytes().split(b"\0")
            if identity and works_here and os.fsencode(argument) in arguments:
                found.append(identity)
    return found


@contextlib.contextmanager
def _opened(identity: Identity) -> Iterator[int | None]:
    """A descriptor that stands for this process and never for another; None where it is gone."""
    try:
        pidfd = os.pidfd_open(identity.pid) if identity.pid > 0 else -1
    except ProcessLookupError:
        pidfd = -1
    if pidfd < 0:
        yield None
        return
    try:
        # Compared after opening: what the descriptor stands for cannot change any more.
        yield pidfd if identity.alive else None
    finally:
        os.close(pidfd)


def _stat_fields(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat behind the name, which itself may hold anything."""
    if pid <= 0:
        return None
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()
