"""One agent per state directory: an flock that is taken before anything is opened or bound.

gRPC would let a second server steal a live socket without a word, and SQLite wants one writer. The
kernel drops the lock with the process, however it dies, so there is never a stale one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from cubelet.core.faults import Code, Reason, error

#: The state directory holds sockets and records: its owner and group may enter, nobody else.
STATE_DIR_MODE = 0o750
LOCK_NAME = "lock"


class StateLock:
    """Holds the state directory until `release`; the file says which process does."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / LOCK_NAME
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as failed:
            why = failed.strerror
            message = f"the lock of {state_dir} cannot be taken: {why}; see to its owner and disk"
            raise error(Code.FAILED_PRECONDITION, Reason.STATE_DIR_UNUSABLE, message) from None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._fd, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._fd)
            message = (
                f"{state_dir} belongs to a running agent (pid {owner}); stop that one first, "
                "or give this one another --state-dir"
            )
            raise error(Code.FAILED_PRECONDITION, Reason.STATE_DIR_TAKEN, message) from None
        with contextlib.suppress(OSError):  # It is for people only, and the disk may be full.
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next agent in. The file stays: removing it would race with who opens it."""
        os.close(self._fd)


def prepare_state_dir(state_dir: Path) -> None:
    """Make the directory if it is missing; refuse one that strangers can write to."""
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=STATE_DIR_MODE)
        found = state_dir.stat()
    except OSError as failed:
        message = f"state directory {state_dir} cannot be used: {failed.strerror}"
        raise error(Code.FAILED_PRECONDITION, Reason.STATE_DIR_UNUSABLE, message) from None
    if found.st_uid != os.geteuid():
        message = f"state directory {state_dir} belongs to uid {found.st_uid}, not to this agent"
        raise error(Code.FAILED_PRECONDITION, Reason.STATE_DIR_UNUSABLE, message)
    if found.st_mode & 0o022:
        message = f"state directory {state_dir} is writable by others; run: chmod 750 {state_dir}"
        raise error(Code.FAILED_PRECONDITION, Reason.STATE_DIR_UNUSABLE, message)
