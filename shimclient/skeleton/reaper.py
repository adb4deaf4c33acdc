"""Children of a shim: started here, adopted from their dead parents, and all reaped here."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_PR_SET_CHILD_SUBREAPER: Final = 36  # linux/prctl.h
_SIGNALLED: Final = 128


def become_subreaper() -> None:
    """Have the kernel hand us, not init, the processes whose parents below us die."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"PR_SET_CHILD_SUBREAPER: {os.strerror(number)}")


def exit_status_of(wait_status: int) -> int:
    """The exit status as shims report it: the process's own, or 128 + the number of its signal."""
    code = os.waitstatus_to_exitcode(wait_status)
    return code if code >= 0 else _SIGNALLED - code


@dataclass(frozen=True, slots=True)
class Child:
    """A process that we started; `exited` gets its exit status when it has been reaped."""

    pid: int
    exited: asyncio.Future[int]


class Reaper:
    """Reaps every child of this process, so children must be started by `spawn`, not by asyncio.

    asyncio's own child watcher would fight over the same exit statuses.
    """

    def __init__(self) -> None:
        self._children: dict[int, tuple[subprocess.Popen[bytes], asyncio.Future[int]]] = {}
        #: Processes that were reaped although nobody here started them: adopted orphans.
        self.orphans = 0

    def install(self) -> None:
        """Watch for dead children from the running loop on."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self.reap)

    def uninstall(self) -> None:
        """Stop watching."""
        asyncio.get_running_loop().remove_signal_handler(signal.SIGCHLD)

    def spawn(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
        stderr: int = subprocess.DEVNULL,
        pass_fds: Sequence[int] = (),
    ) -> Child:
        """Start a program in a session of its own; OSError where it cannot be executed."""
        process = subprocess.Popen(  # reaped by reap(), which sets its returncode
            command,
            cwd=cwd,
            env=env,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=pass_fds,
            start_new_session=True,
        )
        exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._children[process.pid] = (process, exited)
        return Child(process.pid, exited)

    def reap(self) -> None:
        """Collect all dead children; the signal handler's work, fit to be called at any time."""
        while True:
            try:
                pid, wait_status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._tell(pid, exit_status_of(wait_status))

    def _tell(self, pid: int, exit_status: int) -> None:
        child = self._children.pop(pid, None)
        if child is None:
            self.orphans += 1
            return
        process, exited = child
        process.returncode = exit_status
        if not exited.done():
            exited.set_result(exit_status)
