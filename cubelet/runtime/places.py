"""Where things lie in the state directory."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """The folders and files of one sandbox; all of them go when it is removed.

    `bundle`, the whole of it, is its OCI bundle and its shim's working directory. It is named by
    the sandbox's id, as containerd's runc shim looks there in its clean-up.
    """

    bundle: Path

    @property
    def upper(self) -> Path:
        """What the sandbox has changed of its template."""
        return self.bundle / "upper"

    @property
    def work(self) -> Path:
        """The overlay's own."""
        return self.bundle / "work"

    @property
    def home(self) -> Path:
        """The working directory of a sandbox that has no root of its own."""
        return self.bundle / "home"

    @property
    def note(self) -> Path:
        """Whose sandbox this is and where its shim is; see `note`."""
        return self.bundle / "launch.json"


def sandboxes_in(state_dir: Path) -> Path:
    """The folder that has the places of all sandboxes."""
    return state_dir / "sandboxes"


def cgroups_of(state_dir: Path) -> str:
    """The control group that has those of all sandboxes, as an OCI configuration names it.

    Named after the state directory, by which agents on one host are told apart.
    """
    return f"/cubelet/{hashlib.sha256(os.fsencode(state_dir.resolve())).hexdigest()[:8]}"


@lru_cache(maxsize=4096)  # Each call to a shim asks for it.
def place_of(state_dir: Path, sandbox_id: str) -> Place:
    """The place of one sandbox. The id is one that `core.ids` has let in, so it is a plain name."""
    return Place(sandboxes_in(state_dir) / sandbox_id)
