"""What somebody who watches the store's calls of the operating system is asked and told."""

from __future__ import annotations

import enum
from pathlib import Path


class Kind(enum.Enum):
    """The calls that can be watched, whichever way they are made."""

    OPEN = "open"
    READ = "read"
    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "sync"
    LOCK = "lock"
    REMOVE = "remove"
    RENAME = "rename"
    LINK = "link"
    MKDIR = "mkdir"
    SYNC_DIR = "sync of a directory"


class Trouble(enum.StrEnum):
    """What a call can come to. CORRUPT: a read finds that what is there cannot be right."""

    ENOSPC = "ENOSPC"
    EIO = "EIO"
    EROFS = "EROFS"
    BUSY = "BUSY"
    CORRUPT = "CORRUPT"


class Watch:
    """Is asked before each call below `root`, and told after each that changed something.

    Files are told by number, as a file goes on to be itself under another name. This one lets all
    go well and keeps nothing.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def covers(self, path: str) -> bool:
        """Whether the call is to be watched at all."""
        return Path(path).is_relative_to(self.root)

    def trouble(self, kind: Kind, path: str) -> Trouble | None:
        """How the call is to fail; None where it may go on."""
        return None

    def opened(self, path: str) -> int:
        """A file was opened, and made where it was not there; the number for what follows."""
        return 0

    def wrote(self, file: int, at: int, data: bytes) -> None:
        """So many bytes went to that place."""

    def resized(self, file: int, size: int) -> None:
        """It is cut, or filled up with zeros."""

    def synced(self, file: int) -> None:
        """What was written to it is on the disk."""

    def synced_dir(self, path: str) -> None:
        """The names in it are on the disk."""

    def made_dir(self, path: str) -> None:
        """A directory was made."""

    def removed(self, path: str) -> None:
        """A name is gone."""

    def renamed(self, source: str, target: str) -> None:
        """A file or directory has another name; what had that name before is gone."""

    def linked(self, source: str, target: str) -> None:
        """A file has a second name."""
