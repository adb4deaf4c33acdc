"""Python's own way to the operating system, watched: what the store does with `os` and `pathlib`.

Only what a store needs: files are made and synced here, and get other names; their contents are
SQLite's affair, or come by `os.write`. Anything else is refused aloud, so that no change to a disk
goes unseen; and in the end the recorder's disk is compared with the real one.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.power.watch import Kind, Trouble, Watch

_ERRNO = {
    Trouble.ENOSPC: errno.ENOSPC,
    Trouble.EIO: errno.EIO,
    Trouble.EROFS: errno.EROFS,
    Trouble.BUSY: errno.EBUSY,
}
_OURS = ("open", "write", "pwrite", "fsync", "close")
_UNSEEN = ("truncate", "ftruncate", "writev", "pwritev", "sendfile", "copy_file_range", "symlink")

_Path = str | os.PathLike[str]


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Let every call be watched that is made meanwhile through the module `os`."""
    calls = _Calls(watch)
    real = {name: getattr(os, name) for name in calls.ours}
    for name, ours in calls.ours.items():
        setattr(os, name, ours)
    try:
        yield
    finally:
        for name, theirs in real.items():
            setattr(os, name, theirs)


class _Calls:
    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        #: By file descriptor: number (None of a directory) and path.
        self._fds: dict[int, tuple[int | None, str]] = {}
        self._real = {name: getattr(os, name) for name in _OURS}
        self.ours: dict[str, Callable[..., Any]] = {
            "open": self._open,
            "write": self._write,
            "pwrite": self._pwrite,
            "fsync": self._fsync,
            "fdatasync": self._fsync,
            "close": self._close,
            "rename": self._two(os.rename, Kind.RENAME, watch.renamed),
            "replace": self._two(os.replace, Kind.RENAME, watch.renamed),
            "link": self._two(os.link, Kind.LINK, watch.linked),
            "unlink": self._one(os.unlink, Kind.REMOVE, watch.removed),
            "remove": self._one(os.remove, Kind.REMOVE, watch.removed),
            "rmdir": self._one(os.rmdir, Kind.REMOVE, watch.removed),
            "mkdir": self._one(os.mkdir, Kind.MKDIR, watch.made_dir),
            **{name: self._refused(name) for name in _UNSEEN},
        }

    def _open(self, path: _Path, flags: int, mode: int = 0o777, **more: Any) -> int:
        name = os.fspath(path)
        if not self._watch.covers(name):
            return int(self._real["open"](path, flags, mode, **more))
        self._ask(Kind.OPEN, name)
        fd = int(self._real["open"](path, flags, mode, **more))
        is_dir = stat.S_ISDIR(os.fstat(fd).st_mode)
        number = None if is_dir else self._watch.opened(name)
        self._fds[fd] = number, name
        if number is not None and flags & os.O_TRUNC:
            self._watch.resized(number, 0)
        return fd

    def _write(self, fd: int, data: bytes) -> int:
        number, name = self._fds.get(fd, (None, ""))
        if number is None:
            return int(self._real["write"](fd, data))
        self._ask(Kind.WRITE, name)
        at = os.lseek(fd, 0, os.SEEK_CUR)
        count = int(self._real["write"](fd, data))
        self._watch.wrote(number, at, bytes(data[:count]))
        return count

    def _pwrite(self, fd: int, data: bytes, at: int) -> int:
        number, name = self._fds.get(fd, (None, ""))
        if number is not None:
            self._ask(Kind.WRITE, name)
        count = int(self._real["pwrite"](fd, data, at))
        if number is not None:
            self._watch.wrote(number, at, bytes(data[:count]))
        return count

    def _fsync(self, fd: int) -> None:
        if fd not in self._fds:
            self._real["fsync"](fd)
            return
        number, name = self._fds[fd]
        self._ask(Kind.SYNC_DIR if number is None else Kind.SYNC, name)
        self._real["fsync"](fd)
        if number is None:
            self._watch.synced_dir(name)
        else:
            self._watch.synced(number)

    def _close(self, fd: int) -> None:
        self._fds.pop(fd, None)
        self._real["close"](fd)

    def _one(
        self, real: Callable[..., None], kind: Kind, tell: Callable[[str], None]
    ) -> Callable[..., None]:
        def ours(path: _Path, *args: Any, **more: Any) -> None:
            name = os.fspath(path)
            if not isinstance(name, str) or not self._watch.covers(name):
                real(path, *args, **more)
                return
            self._ask(kind, name)
            real(path, *args, **more)
            tell(name)

        return ours

    def _two(
        self, real: Callable[..., None], kind: Kind, tell: Callable[[str, str], None]
    ) -> Callable[..., None]:
        def ours(source: _Path, target: _Path, **more: Any) -> None:
            names = os.fspath(source), os.fspath(target)
            if not self._watch.covers(names[1]):
                real(source, target, **more)
                return
            self._ask(kind, names[1])
            real(source, target, **more)
            tell(*names)

        return ours

    def _refused(self, name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def ours(first: Any, *args: Any, **more: Any) -> Any:
            if isinstance(first, str | os.PathLike) and not self._watch.covers(os.fspath(first)):
                return real(first, *args, **more)
            if isinstance(first, int) and first not in self._fds:
                return real(first, *args, **more)
            raise AssertionError(f"os.{name} is not watched; teach tests/power/python_os.py")

        return ours

    def _ask(self, kind: Kind, path: str) -> None:
        trouble = self._watch.trouble(kind, path)
        if trouble is not None and trouble is not Trouble.CORRUPT:
            number = _ERRNO[trouble]
            raise OSError(number, os.strerror(number), path)
