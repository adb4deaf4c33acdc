"""The pids of fake tasks: a real, sleeping process for whom looks, or a number only."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from shimclient.skeleton.processes import open_process, start_ticks
from shimclient.skeleton.reaper import Reaper

#: Above the largest pid of Linux (2^22), so never that of a process.
_pretended: Final = itertools.count(1 << 24)
_UNKNOWN_EXIT_STATUS: Final = 255


class Body(Protocol):
    """What a task's pid stands for."""

    @property
    def pid(self) -> int:
        """The pid that the shim reports."""

    @property
    def started_ticks(self) -> int:
        """The process's start time, by which a later shim knows it again; 0 for no process."""

    def end(self) -> None:
        """End it; fine where it has ended."""


@dataclass(frozen=True, slots=True)
class PretendBody:
    """A number."""

    pid: int
    started_ticks: int = 0

    def end(self) -> None:
        """There is nothing to end."""


def pretend() -> PretendBody:
    """The next number."""
    return PretendBody(next(_pretended))


class ChildBody:
    """A sleeping child of the shim's; `on_exit` gets its exit status, whoever ended it."""

    def __init__(self, reaper: Reaper, on_exit: Callable[[int], None]) -> None:
        self._child = reaper.spawn(["sleep", "infinity"])
        self._child.exited.add_done_callback(lambda exited: on_exit(exited.result()))
        self.pid = self._child.pid
        self.started_ticks = start_ticks(self.pid) or 0

    def end(self) -> None:
        """SIGKILL; the pid is still the child's, as it is reaped only when `exited` is done."""
        if not self._child.exited.done():
            os.kill(self.pid, signal.SIGKILL)


class AdoptedBody:
    """The child of an earlier shim process; its true exit status is not to be had."""

    def __init__(
        self, pid: int, started_ticks: int, descriptor: int, on_exit: Callable[[int], None]
    ) -> None:
        """Take a pidfd, which is ours from now on."""
        self.pid = pid
        self.started_ticks = started_ticks
        self._descriptor = descriptor
        self._on_exit = on_exit
        asyncio.get_running_loop().add_reader(descriptor, self._ended)

    def end(self) -> None:
        """SIGKILL."""
        if self._descriptor >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def _ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        self._on_exit(_UNKNOWN_EXIT_STATUS)


def adopt(pid: int, started_ticks: int, on_exit: Callable[[int], None]) -> Body | None:
    """The body that an earlier shim process has written down; None where it is gone."""
    if started_ticks == 0:
        return PretendBody(pid)
    descriptor = open_process(pid, started_ticks)
    return None if descriptor is None else AdoptedBody(pid, started_ticks, descriptor, on_exit)
