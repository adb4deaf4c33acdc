"""A file system of a test's own, small enough to be filled; needs root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support import leftovers

_SIZE = "24m"
_BLOCK_BYTES = 64 << 10


class SmallDisk:
    """Mounted at `path`; the state directory is below, so that its agent's remains can be told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state_dir = path / "s"
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Leave no room, not even for a page."""
        with self._ballast.open("ab", buffering=0) as ballast:
            for size in (_BLOCK_BYTES, 1):
                with suppress(OSError):
                    while True:
                        ballast.write(b"x" * size)

    def free(self) -> None:
        """Give all that room back."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def tmpfs() -> Iterator[SmallDisk]:
    """A tmpfs on a folder with a short name."""
    with _folder() as path:
        _run("mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=0755", "small-disk", str(path))
        try:
            disk = SmallDisk(path)
            disk.state_dir.mkdir(mode=0o700)
            yield disk
            left = leftovers.clear(disk.state_dir)
        finally:
            _run("umount", "-l", str(path))
        assert not left


@contextmanager
def ext4() -> Iterator[SmallDisk]:
    """An ext4 on a loop device, which the kernel can be made to take for damaged (`break_down`)."""
    with _folder() as path, tempfile.NamedTemporaryFile() as image:
        os.truncate(image.name, 32 << 20)
        _run("mkfs.ext4", "-q", "-F", image.name)
        _run("mount", "-o", "loop,errors=remount-ro", image.name, str(path))
        try:
            disk = SmallDisk(path)
            disk.state_dir.mkdir(mode=0o700)
            yield disk
            left = leftovers.clear(disk.state_dir)
        finally:
            _run("umount", "-l", str(path))
        assert not left


def break_down(disk: SmallDisk) -> None:
    """Have the kernel find an error in the file system, after which nothing can write to it."""
    device = disk.path.stat().st_dev
    name = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve().name
    with suppress(OSError), Path(f"/sys/fs/ext4/{name}/trigger_fs_error").open("w") as trigger:
        trigger.write("1")


@contextmanager
def _folder() -> Iterator[Path]:
    path = Path(tempfile.gettempdir(), f"disk-{uuid.uuid4().hex[:6]}")
    path.mkdir()
    try:
        yield path
    finally:
        path.rmdir()


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=30)


def ext4_works() -> str:
    """Why no ext4 on a loop device can be had here; empty where it can."""
    missing = [name for name in ("mkfs.ext4", "losetup") if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    found = subprocess.run(["losetup", "-f"], check=False, capture_output=True, timeout=30)
    return "" if found.returncode == 0 else "no loop device"
