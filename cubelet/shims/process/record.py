"""What the bundle's state file says: enough for ``delete`` to find a dead shim's tree again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cubelet.shims.process.identity import Identity
from shimclient.skeleton.statefile import StateFileBroken

_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Record:
    """Who ran where. Identities hold within the boot that is named."""

    boot_id: str
    shim: Identity
    init: Identity
    #: The variable NAME=VALUE that all processes of the tree were given.
    mark: str
    groups: tuple[Path, ...]

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "format": _FORMAT,
            "boot_id": self.boot_id,
            "shim": [self.shim.pid, self.shim.start_ticks],
            "init": [self.init.pid, self.init.start_ticks],
            "mark": self.mark,
            "groups": [str(path) for path in self.groups],
        }


def record_from(stored: dict[str, Any]) -> Record:
    """Read it back; raises StateFileBroken."""
    try:
        if stored["format"] != _FORMAT:
            raise ValueError(f"format {stored['format']!r}, expected {_FORMAT}")  # noqa: TRY301
        return Record(
            boot_id=str(stored["boot_id"]),
            shim=_identity_from(stored["shim"]),
            init=_identity_from(stored["init"]),
            mark=str(stored["mark"]),
            groups=tuple(Path(path) for path in stored["groups"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StateFileBroken(f"the state file is no record of a process tree: {error}") from error


def _identity_from(stored: Any) -> Identity:
    pid, ticks = stored
    return Identity(int(pid), int(ticks))
