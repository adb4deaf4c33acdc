"""Mounts as the kernel lists them, and taking them away."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path
from typing import Final

_MOUNTINFO: Final = Path("/proc/self/mountinfo")
_MOUNT_POINT = 4
_MNT_DETACH: Final = 2
_ESCAPED = re.compile(r"\\([0-7]{3})")


def mounts_below(folder: Path) -> list[str]:
    """The mount points in `folder` or deeper, in the order to unmount them: the latest first."""
    inside = f"{folder}/"
    lines = _MOUNTINFO.read_text(errors="surrogateescape").splitlines()
    points = [_unescaped(line.split(" ")[_MOUNT_POINT]) for line in lines]
    return [point for point in reversed(points) if f"{point}/".startswith(inside)]


def unmount_below(folder: Path) -> None:
    """Take away every mount in `folder`, in use or not. Raises OSError where one stays."""
    for point in mounts_below(folder):
        if _libc().umount2(os.fsencode(point), _MNT_DETACH) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), point)


def overlay_works(folder: Path) -> str:
    """Why no overlay can be mounted in this folder, by trying; empty where one can be.

    `folder` has to be an empty one; what the trial leaves in it is the caller's to remove.
    """
    lower, upper, work, point = (folder / name for name in ("lower", "upper", "work", "point"))
    for part in (lower, upper, work, point):
        part.mkdir()
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    words = (b"overlay", os.fsencode(point), b"overlay", 0, os.fsencode(options))
    if _libc().mount(*words) != 0:
        return os.strerror(ctypes.get_errno())
    unmount_below(folder)
    return ""


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _unescaped(text: str) -> str:
    """Blanks, tabs, line ends and backslashes stand as octal numbers there."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)
