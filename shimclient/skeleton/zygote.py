"""The zygote: it has loaded a shim's program, and forks a starter whenever its socket asks for one.

``... zygote ROOM`` on a shim's command line, with a socket as stdin (its other end is
shimclient.zygote). A starter does what the command that is asked for would do as a process of its
own, in its folder, with its environment and its streams; it only need not load Python anew, and
shares the memory of what is loaded. A message is a JSON object, ``{"command": [...], "words": N,
"cwd": "...", "env": {...}}``, the last N of the command being those behind the program's name; with
it come four descriptors: stdin, stdout, stderr, and the starter's own line to who asked.

On that line the starter sends a byte with a pidfd of itself, waits for a byte, without which it
ends and has done nothing, and at its end sends its exit status, one byte. So whoever asked can give
up at any time and know what is, however the zygote fares: it has no part in anything after its
fork. It ends when the other end of its socket is closed, as by the end of who started it.

Forking is safe here: there is one thread and no event loop, and Python itself reseeds `random`.
ROOM is a long word that means nothing. Over the command line that the zygote was executed with,
each starter writes its own, for ps and for who looks for a shim by its words.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Main = Callable[[Sequence[str]], int]

#: The word on a shim's command line, in front of ROOM.
COMMAND: Final = "zygote"
#: An environment can be large; a socket's buffer of the usual size takes a little more than this.
ORDER_BYTES_MAX: Final = 192 << 10
_DESCRIPTORS: Final = 4
#: Where a starter has its line: behind the three streams, and before everything that it closes.
_LINE: Final = 3
#: Where /proc/PID/stat has the bounds of the command line, behind the name in brackets (proc(5),
#: fields 48 and 49).
_WORDS_BEGIN, _WORDS_END = 48 - 3, 49 - 3


class _GivenUp(Exception):
    """Who asked for this starter does not want it any more."""


def serve_zygote(main: Main) -> None:
    """Fork starters that end with what ``main(words)`` returns, until stdin's other end is closed.

    A request that cannot be met, as where no process can be forked, is dropped: its line is closed.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # The kernel reaps starters: nobody waits here.
    gc.collect()
    gc.freeze()  # A collection in a child leaves the shared pages of all this alone.
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as control:
        while True:
            order, descriptors, _, _ = socket.recv_fds(control, ORDER_BYTES_MAX, _DESCRIPTORS)
            if not order:
                return
            with contextlib.suppress(OSError):
                if os.fork() == 0:
                    _be_starter(main, order, descriptors)
            for descriptor in descriptors:
                os.close(descriptor)


def _be_starter(main: Main, order: bytes, descriptors: Sequence[int]) -> None:
    """The whole life of the child; ends the process."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        line = _take_over(descriptors)
        wanted = json.loads(order)
        os.chdir(wanted["cwd"])
        os.environ.clear()
        os.environ.update(wanted["env"])
        command = wanted["command"]
        _show_as(command)
        _await_leave(line)
        status = main(command[len(command) - wanted["words"] :])
        sys.stdout.flush()
        sys.stderr.flush()
        line.send(bytes([status]))  # From here on we may be killed.
    except _GivenUp:
        status = 0
    except BaseException:  # noqa: BLE001 - this is the process's last line
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _take_over(descriptors: Sequence[int]) -> socket.socket:
    """Have the request's streams as ours and nothing else open but the line, which we return.

    No process that is forked from here on gets the line: the server need not know of it.
    """
    *streams, number = descriptors
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
    os.dup2(number, _LINE, inheritable=False)
    os.closerange(_LINE + 1, os.sysconf("SC_OPEN_MAX"))
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", closefd=False)
    line = socket.socket(fileno=_LINE)
    os.register_at_fork(after_in_child=line.close)
    return line


def _await_leave(line: socket.socket) -> None:
    """Say who we are and wait for the word to begin; raises _GivenUp where it will never come."""
    ourselves = os.pidfd_open(os.getpid())
    try:
        socket.send_fds(line, [b"\0"], [ourselves])
        if not line.recv(1):
            raise _GivenUp
    except (BrokenPipeError, ConnectionResetError):
        raise _GivenUp from None
    finally:
        os.close(ourselves)


def _show_as(words: Sequence[str]) -> None:
    """Have /proc/PID/cmdline say these words. Raises ValueError where there is no room for them.

    They are written over the zygote's own in this process's memory, where only the kernel reads
    them: Python took its copy when it started.
    """
    fields = Path("/proc/self/stat").read_bytes().rpartition(b") ")[2].split()
    begin, end = int(fields[_WORDS_BEGIN]), int(fields[_WORDS_END])
    title = b"".join(os.fsencode(word) + b"\0" for word in words)
    if len(title) > end - begin:
        raise ValueError(f"{len(title)} bytes of command line have no room in {end - begin}")
    ctypes.memmove(begin, title.ljust(end - begin, b"\0"), end - begin)
