"""The three standard streams of a sandbox: nothing, a file, or a FIFO that the caller made."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from cubelet.shims.process.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator


class StdinKeeper:
    """Our own end of a stdin FIFO: its reader sees the end only once this is closed too."""

    def __init__(self, path: str) -> None:
        """Open the FIFO for both ends, so that neither we nor the process wait for a writer."""
        self._descriptor: int | None = _open(path, os.O_RDWR) if _is_fifo(path) else None

    def close(self) -> None:
        """Let go; harmless where there is nothing, or nothing any more."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@dataclass(frozen=True, slots=True)
class Stdio:
    """Descriptors for the first process, and what stays with us."""

    stdin: int
    stdout: int
    stderr: int
    keeper: StdinKeeper


@contextmanager
def open_stdio(*, stdin: str, stdout: str, stderr: str) -> Iterator[Stdio]:
    """Open the streams; "" is none, else a path or ``file:///path``. Raises BundleError.

    At the end of the context all is closed here but the keeper, and that too after an error.
    """
    with ExitStack() as on_failure, ExitStack() as opened:
        source, sink, errors = (
            _path_of(target, name)
            for target, name in ((stdin, "stdin"), (stdout, "stdout"), (stderr, "stderr"))
        )
        keeper = StdinKeeper(source)
        on_failure.callback(keeper.close)

        def kept(descriptor: int) -> int:
            opened.callback(os.close, descriptor)
            return descriptor

        yield Stdio(
            stdin=kept(_open(source, os.O_RDONLY)),
            stdout=kept(_open_output(sink)),
            stderr=kept(_open_output(errors)),
            keeper=keeper,
        )
        on_failure.pop_all()


def _path_of(target: str, name: str) -> str:
    """The path that a stream names."""
    parts = urlsplit(target)
    if not parts.scheme:
        path = target
    elif parts.scheme == "file" and not parts.netloc:
        path = unquote(parts.path)
    else:
        raise BundleError(f"{name}: {target!r} is neither a path nor file:///path")
    if path and not path.startswith("/"):
        raise BundleError(f"{name}: {target!r} is not absolute")
    return path or os.devnull


def _open_output(path: str) -> int:
    """A FIFO is opened for both ends: the process neither waits for its reader nor dies with it."""
    if _is_fifo(path):
        return _open(path, os.O_RDWR)
    return _open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def _is_fifo(path: str) -> bool:
    return Path(path).is_fifo()


def _open(path: str, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error
