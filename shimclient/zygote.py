"""Shims that are forked by a process which has loaded their program; skeleton/zygote.py is it.

For programs that start many shims of this package's skeleton: a start costs a fork instead of a new
Python. `Zygote.run` fits where `start_shim` takes a `Run`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from shimclient.errors import BootstrapError
from shimclient.skeleton.zygote import COMMAND, ORDER_BYTES_MAX

#: For the answer that a starter has been forked. A new zygote has to load its program first, which
#: takes 0.3 s, and a few times that where the machine is busy.
FORK_TIMEOUT_S: Final = 5.0
_END_TIMEOUT_S: Final = 1.0
#: As long as a starter's command line can get: it is written over the zygote's.
_ROOM: Final = "-" * 1024
_GO: Final = b"\0"


class ZygoteFailed(Exception):
    """No starter was forked, and none of this request will be; the text says why."""


class Zygote:
    """One zygote process. It ends with `close`, and by itself when this process ends."""

    def __init__(
        self, command: Sequence[str], process: asyncio.subprocess.Process, control: socket.socket
    ) -> None:
        self._command = tuple(command)
        self._process = process
        self._control = control

    @classmethod
    async def start(cls, command: Sequence[str], *, cwd: Path) -> Zygote:
        """Start the zygote of a shim's program; raises ZygoteFailed where it cannot be executed.

        It takes orders at once, and obeys them when it has loaded the program.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            ours.setblocking(False)
            process = await asyncio.create_subprocess_exec(
                *(*command, COMMAND, _ROOM),
                cwd=cwd,
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # A terminal's Ctrl-C is for who started it.
            )
        except BaseException as error:
            ours.close()
            if isinstance(error, OSError):
                raise ZygoteFailed(f"cannot run {command[0]}: {error.strerror}") from error
            raise
        finally:
            theirs.close()
        return cls(command, process, ours)

    @property
    def pid(self) -> int:
        """The zygote's process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended, as far as was noticed."""
        return self._process.returncode is None

    async def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        files: Sequence[int],
        timeout_s: float,
    ) -> int:
        """Have a starter forked that does what the command does; its exit status.

        The command begins with the zygote's own. Raises ZygoteFailed where nothing was begun,
        TimeoutError where the starter did not end within `timeout_s` and was killed, and
        BootstrapError where it died of something else.
        """
        line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with line:
            line.setblocking(False)
            with theirs:
                self._order(command, cwd=cwd, env=env, files=(*files, theirs.fileno()))
            starter = await self._forked(line)
            try:
                status = await _status(line, timeout_s)
            finally:
                await _end(starter)
        if not status:
            raise BootstrapError(f"{command[0]} {command[-1]} was killed before it had an answer")
        return status[0]

    async def close(self) -> None:
        """End the zygote and wait for it, if need be by SIGKILL. Starters and shims go on."""
        self._control.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_TIMEOUT_S):
                await self._process.wait()
        await self.kill()

    async def kill(self) -> None:
        """End it at once; requests that it has not obeyed by now fail."""
        self._control.close()
        if not self.alive:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_TIMEOUT_S):
                await self._process.wait()

    def _order(
        self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], files: Sequence[int]
    ) -> None:
        if tuple(command[: len(self._command)]) != self._command:
            raise ZygoteFailed(f"{command[0]} is not the zygote's program")
        words = len(command) - len(self._command)
        order = {"command": [*command], "words": words, "cwd": str(cwd), "env": {**env}}
        data = json.dumps(order).encode()
        if len(data) > ORDER_BYTES_MAX:
            raise ZygoteFailed(f"an order of {len(data)} bytes is over {ORDER_BYTES_MAX}")
        try:
            socket.send_fds(self._control, [data], files)
        except OSError as error:
            raise ZygoteFailed(f"the zygote takes no order: {error.strerror}") from error

    async def _forked(self, line: socket.socket) -> int:
        """A pidfd of the starter, which now waits for our word."""
        try:
            async with asyncio.timeout(FORK_TIMEOUT_S):
                await _readable(line)
            _, descriptors, _, _ = socket.recv_fds(line, 1, 1)
        except TimeoutError:
            raise ZygoteFailed(f"no starter was forked within {FORK_TIMEOUT_S:g} s") from None
        except OSError as error:
            raise ZygoteFailed(f"no starter was forked: {error.strerror}") from error
        if not descriptors:
            raise ZygoteFailed("no starter was forked: the zygote has ended, or could not fork")
        return descriptors[0]


async def _status(line: socket.socket, timeout_s: float) -> bytes:
    """Let the starter begin; the byte that it ends with, nothing where it ended without."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        line.send(_GO)
        async with asyncio.timeout(timeout_s):
            await _readable(line)
        return line.recv(1)
    return b""


async def _end(starter: int) -> None:
    """See the process of this pidfd end, killing it if it has not; closes the pidfd."""
    try:
        with contextlib.suppress(ProcessLookupError, TimeoutError):
            signal.pidfd_send_signal(starter, signal.SIGKILL)
            async with asyncio.timeout(_END_TIMEOUT_S):
                await _readable(starter)
    finally:
        os.close(starter)


async def _readable(file: socket.socket | int) -> None:
    """Wait until there is something to read, be it the end."""
    readable = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(file, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(file)
