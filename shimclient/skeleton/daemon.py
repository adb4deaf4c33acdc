"""Turn the rest of a starter into a server process of its own, and learn whether it got up.

The parent stays until the child serves or fails, so that the answer of ``start`` is true: an
address that is printed is served, and a failure's text reaches whoever started the shim.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING, Final

from shimclient.skeleton.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_READY: Final = b"\x00"
_ERROR_BYTES_MAX: Final = 4096


class StartFailed(SetupError):
    """The server process ended before it served; the text is its own."""


def run_in_background(serve: Callable[[Callable[[], None]], None], log: Path) -> int:
    """Fork; run ``serve(ready)`` in the child until it returns, and never come back from there.

    In the parent: the child's pid, once the child has called ``ready``; raises StartFailed with the
    child's error where it ended before. The child leads its own session, reads nothing, and writes
    to `log` if that exists (a FIFO is held open for reading too: no reader, no harm), else nowhere.
    """
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(readable)
        _run_child(serve, writable, log)
    os.close(writable)
    with os.fdopen(readable, "rb") as report:
        text = report.read(_ERROR_BYTES_MAX)
    if text == _READY:
        return pid
    os.waitpid(pid, 0)
    raise StartFailed(text.decode(errors="replace") or "the server process ended without a word")


def _run_child(serve: Callable[[Callable[[], None]], None], report: int, log: Path) -> None:
    """The whole life of the child; ends the process."""
    status = 1
    told = False

    def ready() -> None:
        nonlocal told
        told = True
        os.write(report, _READY)
        os.close(report)

    try:
        os.setsid()
        _detach(log)
        serve(ready)
        status = 0
    except BaseException as error:  # noqa: BLE001 - this is the process's last line
        traceback.print_exc()
        if not told:
            os.write(report, _said(error).encode()[:_ERROR_BYTES_MAX])
    finally:
        sys.stderr.flush()
        os._exit(status)


def _said(error: BaseException) -> str:
    """One line: the text alone where it was written for people."""
    text = str(error) if isinstance(error, SetupError) else f"{type(error).__name__}: {error}"
    return " ".join(text.splitlines())


def _detach(log: Path) -> None:
    """Let go of the starter's pipes: containerd waits until they are closed."""
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        output = os.open(log, os.O_RDWR | os.O_NONBLOCK | os.O_APPEND)
    except OSError:
        output = os.dup(nothing)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(output)
