"""The simulated VM: its states, the rules between them, and what runs inside.

The rules and codes are those that containerd 1.6's runc shim was seen to have: a wrong state is
code 2, signalling a stopped task code 5, SIGKILL ends a paused one with 137, and any other signal
to a paused one waits for the resume.
"""

from __future__ import annotations

import asyncio
import signal
import zlib
from collections.abc import Callable
from typing import Final

from shimclient.errors import Code, NotFound, StatusError
from shimclient.fake.memory import Image, Memory
from shimclient.task import Exit, Status

TICKS_PER_S: Final = 1000
_SIGNALLED: Final = 128
#: Signals whose default is to end a process; the others pass unnoticed.
_DEADLY: Final = frozenset(
    {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGABRT, signal.SIGKILL, signal.SIGTERM}
)


class Vm:
    """One task's VM. The clock (seconds, monotonic) drives what runs inside.

    While it runs it writes a page of its memory in each `write_every_ms`, 0 for never; with an
    image it starts from that, and not empty.
    """

    def __init__(
        self,
        task_id: str,
        *,
        clock: Callable[[], float],
        write_every_ms: int = 0,
        image: Image | None = None,
    ) -> None:
        self.id = task_id
        self.status = Status.CREATED
        self.exited: Exit | None = None
        #: Held by each operation; State waits for it.
        self.mutex = asyncio.Lock()
        self._clock = clock
        self._ran_s = 0.0
        self._running_since_s: float | None = None
        self._pending_signal = 0
        self._write_every_ticks = write_every_ms * TICKS_PER_S // 1000
        self._writes = 0
        seed = zlib.crc32(task_id.encode())
        self._memory = Memory.created_from(image, seed=seed) if image else Memory(seed=seed)

    @property
    def generation(self) -> int:
        """How often its memory was restored, by a resume or a rollback."""
        return self._memory.generation

    @property
    def memory(self) -> Memory:
        """Its memory, with everything in it that was written up to now."""
        if self._write_every_ticks:
            writes = self.ticks // self._write_every_ticks
            self._memory.scribble(self._writes, writes)
            self._writes = writes
        return self._memory

    @property
    def ticks(self) -> int:
        """What the program inside has counted: it stands still while the VM does not run."""
        running_s = 0.0 if self._running_since_s is None else self._clock() - self._running_since_s
        return int((self._ran_s + running_s) * TICKS_PER_S)

    def check(self, operation: str, *allowed: Status) -> None:
        """Raise code 2 unless the VM is in one of the states that allow the operation."""
        if self.status not in allowed:
            raise StatusError(
                Code.UNKNOWN, f"cannot {operation} {self.id}: it is {self.status.name.lower()}"
            )

    def allows(self, operation: str, *allowed: Status) -> Callable[[], None]:
        """The check, to be made when the operation's turn has come."""
        return lambda: self.check(operation, *allowed)

    def start(self) -> None:
        """CREATED to RUNNING."""
        self.check("start", Status.CREATED)
        self._run()

    def pause(self) -> None:
        """RUNNING to PAUSED; the ticks stand still."""
        self.check("pause", Status.RUNNING)
        self._halt()
        self.status = Status.PAUSED

    def resume(self) -> int:
        """PAUSED to RUNNING, restored from the pause's private image; the signal that waited, or 0.

        No catalog knows that image, so to whoever keeps snapshots this is an opaque restore.
        """
        self.check("resume", Status.PAUSED)
        self.memory.restore(self.memory.private_image())
        self._run()
        waiting, self._pending_signal = self._pending_signal, 0
        return waiting

    def rollback(self, image: Image) -> None:
        """Go on from a snapshot, RUNNING as before; the ticks are the clock's and go on."""
        self.check("roll back", Status.RUNNING)
        self.memory.rollback(image)

    def deadly(self, number: int) -> bool:
        """Whether the signal ends the VM now; raises NotFound where it has ended."""
        if self.status is Status.STOPPED:
            raise NotFound(Code.NOT_FOUND, f"{self.id}: process already finished")
        if number not in _DEADLY:
            return False
        if self.status is Status.PAUSED and number != signal.SIGKILL:
            self._pending_signal = number
            return False
        return True

    def stop(self, exit_status: int, *, pid: int, at_ns: int) -> Exit:
        """Any state to STOPPED; how it ended, the first time it did."""
        if self.exited is None:
            self._halt()
            self.status = Status.STOPPED
            self.exited = Exit(pid, exit_status, at_ns)
        return self.exited

    def take_up(self, *, status: Status, ticks: int, memory: Memory) -> None:
        """Go on from what an earlier shim process has written down."""
        self._memory = memory
        self._ran_s = ticks / TICKS_PER_S
        self._writes = ticks // self._write_every_ticks if self._write_every_ticks else 0
        if status is Status.RUNNING:
            self._run()
        self.status = status

    def _run(self) -> None:
        self.status = Status.RUNNING
        self._running_since_s = self._clock()

    def _halt(self) -> None:
        if self._running_since_s is not None:
            self._ran_s += self._clock() - self._running_since_s
            self._running_since_s = None


def signal_status(number: int) -> int:
    """The exit status of a process that a signal ended."""
    return _SIGNALLED + number
