"""SQLite's own way to the operating system, watched: a VFS around the one that it has by default.

It is registered in the very library that Python's `sqlite3` uses, so that the store need not know.
Files are opened by the real VFS; then four of a file's methods are replaced by ours, which ask the
watch, call the real one and tell. What names are synced to disk is seen where the real VFS opens a
directory, which it does for nothing else (sqlite.org/c3ref/vfs.html, xSetSystemCall).
"""

from __future__ import annotations

import _sqlite3
import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_int64, c_void_p
from pathlib import Path
from typing import Any

from tests.power.watch import Kind, Trouble, Watch

_NAME = b"cubelet-watched"
_OK = 0
_CANTOPEN = 14
_CODES = {Trouble.BUSY: 5, Trouble.EROFS: 8, Trouble.CORRUPT: 11}
_FULL = 13
_IOERR = {
    Kind.READ: 266,
    Kind.WRITE: 778,
    Kind.SYNC: 1034,
    Kind.TRUNCATE: 1546,
    Kind.REMOVE: 2570,
    Kind.LOCK: 3850,
}
_OPEN_READONLY, _OPEN_READWRITE, _OPEN_CREATE = 0x1, 0x2, 0x4
_PRNG_SEED = 28

# Names are handed on by address: SQLite keeps what is behind the end of the one that it opens.
_XOpen = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_XDelete = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)
_XRead = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_XTruncate = CFUNCTYPE(c_int, c_void_p, c_int64)
_XFlag = CFUNCTYPE(c_int, c_void_p, c_int)
_OpenDirectory = CFUNCTYPE(c_int, c_char_p, c_void_p)
_SetSystemCall = CFUNCTYPE(c_int, c_void_p, c_char_p, c_void_p)


class _Vfs(ctypes.Structure):
    _fields_ = (
        ("iVersion", c_int),
        ("szOsFile", c_int),
        ("mxPathname", c_int),
        ("pNext", c_void_p),
        ("zName", c_char_p),
        ("pAppData", c_void_p),
        ("xOpen", c_void_p),
        ("xDelete", c_void_p),
        *((name, c_void_p) for name in ("xAccess", "xFullPathname", "xDlOpen", "xDlError")),
        *((name, c_void_p) for name in ("xDlSym", "xDlClose", "xRandomness", "xSleep")),
        *((name, c_void_p) for name in ("xCurrentTime", "xGetLastError", "xCurrentTimeInt64")),
        ("xSetSystemCall", c_void_p),
        ("xGetSystemCall", c_void_p),
        ("xNextSystemCall", c_void_p),
    )


class _Methods(ctypes.Structure):
    _fields_ = (
        ("iVersion", c_int),
        *((name, c_void_p) for name in ("xClose", "xRead", "xWrite", "xTruncate", "xSync")),
        *((name, c_void_p) for name in ("xFileSize", "xLock", "xUnlock", "xCheckReservedLock")),
        *((name, c_void_p) for name in ("xFileControl", "xSectorSize")),
        *((name, c_void_p) for name in ("xDeviceCharacteristics", "xShmMap", "xShmLock")),
        *((name, c_void_p) for name in ("xShmBarrier", "xShmUnmap", "xFetch", "xUnfetch")),
    )


class _File(ctypes.Structure):
    _fields_ = (("methods", c_void_p),)


#: Kept for ever: a connection that somebody forgot is closed whenever Python comes to it.
_made: list[_WatchedVfs] = []


class Unwatchable(Exception):
    """This Python keeps the functions of its SQLite to itself."""


def library() -> ctypes.CDLL:
    """The SQLite that Python's `sqlite3` uses, found through its module; Unwatchable where not."""
    lib = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
    try:
        lib.sqlite3_vfs_find.argtypes = [c_char_p]
        lib.sqlite3_vfs_find.restype = POINTER(_Vfs)
        lib.sqlite3_vfs_register.argtypes = [POINTER(_Vfs), c_int]
        lib.sqlite3_vfs_unregister.argtypes = [POINTER(_Vfs)]
    except AttributeError as problem:
        message = "this Python hides the functions of its SQLite; take the system's Python"
        raise Unwatchable(message) from problem
    return lib


def seed_chance(seed: int) -> None:
    """Let what SQLite draws (the salts of its log) follow from a seed; 0 ends that."""
    library().sqlite3_test_control(_PRNG_SEED, c_int(seed), None)


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Let every connection that is opened meanwhile, and closed again, be watched."""
    vfs = _WatchedVfs(library(), watch)
    _made.append(vfs)
    vfs.install()
    try:
        yield
    finally:
        vfs.remove()


class _WatchedVfs:
    def __init__(self, lib: ctypes.CDLL, watch: Watch) -> None:
        self._lib = lib
        self._watch = watch
        self._real = lib.sqlite3_vfs_find(None)
        self._files = _Files(watch)
        self._copy = _Vfs.from_buffer_copy(self._real.contents)
        self._copy.zName = _NAME
        real = self._real.contents
        self._real_open = _XOpen(real.xOpen)
        self._real_delete = _XDelete(real.xDelete)
        self._set_system_call = _SetSystemCall(real.xSetSystemCall)
        get = CFUNCTYPE(c_void_p, c_void_p, c_char_p)(real.xGetSystemCall)
        self._real_open_directory = _OpenDirectory(get(self._real, b"openDirectory"))
        # Kept as long as SQLite may call them.
        self._open_call = _XOpen(self._open)
        self._delete_call = _XDelete(self._delete)
        self._open_directory_call = _OpenDirectory(self._open_directory)
        # Who finds the file busy asks again at once: so many tests need not wait.
        self._sleep_call = _XFlag(lambda _vfs, microseconds: microseconds)
        self._copy.xSleep = ctypes.cast(self._sleep_call, c_void_p)
        self._copy.xOpen = ctypes.cast(self._open_call, c_void_p)
        self._copy.xDelete = ctypes.cast(self._delete_call, c_void_p)

    def install(self) -> None:
        self._set(self._open_directory_call)
        self._lib.sqlite3_vfs_register(ctypes.byref(self._copy), 1)

    def remove(self) -> None:
        self._lib.sqlite3_vfs_unregister(ctypes.byref(self._copy))
        self._lib.sqlite3_vfs_register(self._real, 1)
        self._set(None)

    def _set(self, call: Any) -> None:
        address = None if call is None else ctypes.cast(call, c_void_p)
        done = self._set_system_call(ctypes.cast(self._real, c_void_p), b"openDirectory", address)
        assert done == _OK

    def _open(self, vfs: int, name: int | None, file: int, flags: int, out: int) -> int:
        path = _text(name)
        if not path or not self._watch.covers(path):
            return int(self._real_open(vfs, name, file, flags, out))
        trouble = self._watch.trouble(Kind.OPEN, path)
        if trouble is Trouble.EROFS:
            flags = flags & ~(_OPEN_READWRITE | _OPEN_CREATE) | _OPEN_READONLY
        elif trouble is not None:
            _File.from_address(file).methods = None
            return _CANTOPEN
        result = int(self._real_open(vfs, name, file, flags, out))
        if result == _OK:
            self._files.adopt(file, path)
        return result

    def _delete(self, vfs: int, name: int, sync: int) -> int:
        path = _text(name)
        if not self._watch.covers(path):
            return int(self._real_delete(vfs, name, sync))
        trouble = self._watch.trouble(Kind.REMOVE, path)
        if trouble is not None:
            return _code(Kind.REMOVE, trouble)
        # The name goes before the directory is synced, which the real one does in one call.
        if Path(path).exists():
            self._watch.removed(path)
        return int(self._real_delete(vfs, name, sync))

    def _open_directory(self, name: bytes, fd: int) -> int:
        result = int(self._real_open_directory(name, fd))
        path = str(Path(name.decode()).parent)
        if result == _OK and self._watch.covers(path):
            self._files.tell_synced()  # It is, by now: the directory's turn comes after the file's.
            self._watch.synced_dir(path)
        return result


class _Files:
    """The methods of watched files, each by the address at which SQLite keeps the file."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._tables: dict[int, _Table] = {}
        #: By address: its number and its path.
        self.known: dict[int, tuple[int, str]] = {}
        self._syncing: int | None = None

    def adopt(self, file: int, path: str) -> None:
        """Watch it until it is closed."""
        handle = _File.from_address(file)
        table = self._tables.get(handle.methods)
        if table is None:
            table = self._tables[handle.methods] = _Table(self._watch, self, handle.methods)
        self.known[file] = self._watch.opened(path), path
        handle.methods = ctypes.addressof(table.methods)

    @contextmanager
    def syncing(self, file: int) -> Iterator[None]:
        """While the real method syncs it."""
        self._syncing = self.known[file][0]
        try:
            yield
        finally:
            self._syncing = None

    def tell_synced(self) -> None:
        """The file that is being synced is on the disk; told once."""
        if self._syncing is not None:
            self._watch.synced(self._syncing)
            self._syncing = None


class _Table:
    """A copy of a real table of methods, five of which are ours."""

    def __init__(self, watch: Watch, files: _Files, real_at: int) -> None:
        self._watch = watch
        self._files = files
        real = _Methods.from_address(real_at)
        self.methods = _Methods()
        size = _size_of(real.iVersion)
        ctypes.memmove(ctypes.addressof(self.methods), real_at, size)
        self._real_read = _XRead(real.xRead)
        self._real_write = _XRead(real.xWrite)
        self._real_truncate = _XTruncate(real.xTruncate)
        self._real_sync = _XFlag(real.xSync)
        self._real_lock = _XFlag(real.xLock)
        self._calls = {
            "xRead": _XRead(self._read),
            "xWrite": _XRead(self._write),
            "xTruncate": _XTruncate(self._truncate),
            "xSync": _XFlag(self._sync),
            "xLock": _XFlag(self._lock),
        }
        for name, call in self._calls.items():
            setattr(self.methods, name, ctypes.cast(call, c_void_p))

    def _read(self, file: int, into: int, count: int, at: int) -> int:
        trouble = self._trouble(Kind.READ, file)
        if trouble is not None:
            return _code(Kind.READ, trouble)
        return int(self._real_read(file, into, count, at))

    def _write(self, file: int, data: int, count: int, at: int) -> int:
        trouble = self._trouble(Kind.WRITE, file)
        # A disk that gets full has taken the first part.
        done = count // 2 if trouble is not None else count
        result = int(self._real_write(file, data, done, at))
        if result == _OK:
            self._watch.wrote(self._files.known[file][0], at, ctypes.string_at(data, done))
        return _code(Kind.WRITE, trouble) if trouble is not None else result

    def _truncate(self, file: int, size: int) -> int:
        trouble = self._trouble(Kind.TRUNCATE, file)
        if trouble is not None:
            return _code(Kind.TRUNCATE, trouble)
        result = int(self._real_truncate(file, size))
        if result == _OK:
            self._watch.resized(self._files.known[file][0], size)
        return result

    def _sync(self, file: int, flags: int) -> int:
        trouble = self._trouble(Kind.SYNC, file)
        if trouble is not None:
            return _code(Kind.SYNC, trouble)
        with self._files.syncing(file):
            result = int(self._real_sync(file, flags))
            if result == _OK:
                self._files.tell_synced()
        return result

    def _lock(self, file: int, level: int) -> int:
        trouble = self._trouble(Kind.LOCK, file)
        if trouble is not None:
            return _code(Kind.LOCK, trouble)
        return int(self._real_lock(file, level))

    def _trouble(self, kind: Kind, file: int) -> Trouble | None:
        return self._watch.trouble(kind, self._files.known[file][1])


def _text(name: int | None) -> str:
    return ctypes.string_at(name).decode() if name else ""


def _size_of(version: int) -> int:
    last = {1: "xShmMap", 2: "xFetch"}.get(version)
    return getattr(_Methods, last).offset if last else ctypes.sizeof(_Methods)


def _code(kind: Kind, trouble: Trouble) -> int:
    """What SQLite's own VFS, or the layer above it, makes of such a trouble."""
    if trouble is Trouble.ENOSPC and kind is not Kind.SYNC:
        return _FULL
    return _CODES.get(trouble, _IOERR[kind])
