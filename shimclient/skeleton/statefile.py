"""A small JSON file that survives a crash whole: what a restarted shim needs to tell the truth."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from shimclient.skeleton.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path


class StateFileBroken(SetupError):
    """The file is there but is no state of ours. It is left as it is for somebody to look at."""


class StateFile:
    """One JSON object in one file, replaced whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> dict[str, Any] | None:
        """The last saved state; None where there never was one; raises StateFileBroken."""
        try:
            state = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise StateFileBroken(f"{self.path} is no JSON: {error}") from error
        if not isinstance(state, dict):
            raise StateFileBroken(f"{self.path} holds a {type(state).__name__}, not an object")
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Replace the state; when this returns it is on the disk, and half of it never is."""
        replace_file(self.path, json.dumps(state, separators=(",", ":")).encode(), sync=True)

    def remove(self) -> None:
        """Forget the state; fine where there is none."""
        self.path.unlink(missing_ok=True)


def replace_file(path: Path, content: bytes, *, sync: bool) -> None:
    """Write beside, then rename over: a reader sees the old content or the new one.

    With `sync` both the content and its name are on the disk when this returns.
    """
    beside = path.with_name(f".{path.name}.tmp")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    beside.replace(path)
    if sync:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
