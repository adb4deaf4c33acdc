"""The socket files that servers listen on: made safely, and removed by their owner only."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from typing import NamedTuple


class SocketFile(NamedTuple):
    """A socket file as it was when we bound it, so that another's is never taken for it."""

    path: str
    device: int
    inode: int


def bind_unix(path: str) -> socket.socket:
    """A bound socket that does not listen yet, its file open to its owner only (0600).

    A socket file that nobody listens at is replaced. Raises OSError: EADDRINUSE where somebody
    does, or where the file is no socket.
    """
    _remove_dead(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.setblocking(False)
        bound.bind(path)
        # Nobody can connect before listen(), so there is no moment in which others could.
        os.chmod(path, 0o600)  # noqa: PTH101  # Plain strings: a path may be longer than Path likes.
    except BaseException:
        bound.close()
        raise
    return bound


def socket_file(listener: socket.socket) -> SocketFile | None:
    """The file of a bound unix socket; None where it has none (any more)."""
    path = listener.getsockname()
    if not isinstance(path, str) or not path:
        return None
    with contextlib.suppress(OSError):
        status = os.stat(path)  # noqa: PTH116
        return SocketFile(path, status.st_dev, status.st_ino)
    return None


def remove_own(file: SocketFile) -> None:
    """Unlink the file, unless another server has put its own in its place."""
    with contextlib.suppress(FileNotFoundError):
        status = os.lstat(file.path)
        if (status.st_dev, status.st_ino) == (file.device, file.inode):
            os.unlink(file.path)  # noqa: PTH108


def _remove_dead(path: str) -> None:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise OSError(errno.EADDRINUSE, "a file that is no socket is in the way", path)
    if _is_live(path):
        raise OSError(errno.EADDRINUSE, "another server listens there", path)
    os.unlink(path)  # noqa: PTH108


def _is_live(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:
            return True  # Its queue is full: stuck perhaps, but there.
    return True
