"""The reading end of a shim's log: the FIFO `log` in its bundle, held open as long as the shim."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from shimclient.errors import BootstrapError

_READ_BYTES: Final = 64 << 10
#: A longer line is handed on in pieces of this size.
LINE_BYTES_MAX: Final = 8 << 10


class LogPipe:
    """Hands each line that a shim logs to `on_line`; open it before the shim is started.

    The FIFO is opened for reading and writing, so that neither side ever blocks on the other or
    sees an end. Close it when the shim is gone; the same bundle can be opened anew at any time.
    """

    def __init__(self, bundle: Path, on_line: Callable[[str], None]) -> None:
        """Make the FIFO unless it is there, and begin to read, in the running loop."""
        path = bundle / "log"
        with contextlib.suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        if not stat.S_ISFIFO(path.lstat().st_mode):
            raise BootstrapError(f"{path} is no FIFO; remove it")
        self._on_line = on_line
        self._rest = b""
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._read)

    def close(self) -> None:
        """Hand on what has arrived, and stop reading. Fine to call twice."""
        if self._fd < 0:
            return
        self._loop.remove_reader(self._fd)
        self._read()
        os.close(self._fd)
        self._fd = -1
        if self._rest:
            self._hand_on(self._rest)
            self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._rest += os.read(self._fd, _READ_BYTES)
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            self._hand_on(line)
        while len(self._rest) > LINE_BYTES_MAX:
            self._hand_on(self._rest[:LINE_BYTES_MAX])
            self._rest = self._rest[LINE_BYTES_MAX:]

    def _hand_on(self, line: bytes) -> None:
        for start in range(0, len(line), LINE_BYTES_MAX):
            self._on_line(line[start : start + LINE_BYTES_MAX].decode(errors="replace"))
