"""What a file needs so that it outlives a power cut, and its name too."""

from __future__ import annotations

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Write what the system still holds of a file, or of a directory's names, to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_private(path: Path) -> None:
    """Make an empty file that only its owner may read; FileExistsError where there is one."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
