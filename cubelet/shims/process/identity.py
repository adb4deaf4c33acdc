"""Who a process is: its pid and its start time, which no later process with that pid shares."""

from __future__ import annotations

import errno
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
#: Thread states of proc(5) that mean: this one is over.
DEAD_STATES: Final = frozenset("ZXx")
#: Thread states of proc(5) that mean: stopped by a signal, or by a tracer.
STOPPED_STATES: Final = frozenset("Tt")
_READ_BYTES: Final = 1 << 16
# Places in /proc/PID/stat, counted from the field after the command's closing bracket.
_STATE, _PARENT, _START = 0, 1, 19


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, told apart from all others of this boot; ticks are the kernel's, since boot."""

    pid: int
    start_ticks: int


@dataclass(frozen=True, slots=True)
class Stat:
    """What one line of /proc/PID/stat (or of a thread's) tells us."""

    identity: Identity
    state: str
    parent_pid: int


def parse_stat(content: bytes) -> Stat:
    """The facts of a stat line. A command may itself hold brackets, blanks and line ends."""
    fields = content[content.rindex(b")") + 2 :].split()
    return Stat(
        identity=Identity(pid=int(content[: content.index(b" ")]), start_ticks=int(fields[_START])),
        state=fields[_STATE].decode(),
        parent_pid=int(fields[_PARENT]),
    )


def read_proc(path: str) -> bytes | None:
    """A whole file of /proc; None where it, or its process, is gone or hidden from us."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    try:
        parts = []
        while part := os.read(descriptor, _READ_BYTES):
            parts.append(part)
    except ProcessLookupError:
        return None
    finally:
        os.close(descriptor)
    return b"".join(parts)


def identify(pid: int, *, proc: Path = PROC) -> Identity | None:
    """Who has this pid now; None where nobody has it."""
    content = read_proc(f"{proc}/{pid}/stat")
    return parse_stat(content).identity if content else None


def boot_id() -> str:
    """This boot's name: start ticks mean nothing in another one."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def send(identity: Identity, number: int) -> bool:
    """Signal exactly this process; False where it is gone. Raises PermissionError.

    The handle is opened first and the start time read after: where that is the expected one, the
    handle is that process's, for nobody gets an old process's pid and its start time too.
    """
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return False
    except OSError as error:
        if error.errno not in {errno.ENOSYS, errno.EPERM, errno.EINVAL}:
            raise
        return _send_by_pid(identity, number)
    try:
        if identify(identity.pid) != identity:
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def _send_by_pid(identity: Identity, number: int) -> bool:
    """As good as it gets before Linux 5.3, or where a filter forbids process handles."""
    if identify(identity.pid) != identity:
        return False
    try:
        os.kill(identity.pid, number)
    except ProcessLookupError:
        return False
    return True
