"""Processes by identity, a pid and its start time: a pid alone may be somebody else's by now."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Final

#: Where the start time stands in /proc/PID/stat behind the name in brackets (proc(5), field 22).
_START_FIELD: Final = 22 - 3


def start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None for none, or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[_START_FIELD])


def open_process(pid: int, ticks: int) -> int | None:
    """A pidfd of the process with this identity, readable when it ends; None where it is gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return None
    # Compared after the opening: from here on the descriptor means one process for ever.
    if start_ticks(pid) == ticks:
        return descriptor
    os.close(descriptor)
    return None


def kill_process(pid: int, ticks: int) -> bool:
    """SIGKILL the process with this identity; whether there was one."""
    descriptor = open_process(pid, ticks)
    if descriptor is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    os.close(descriptor)
    return True
