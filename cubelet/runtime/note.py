"""The note in a sandbox's folder: by it a shim is found that no record knows yet.

Between the start of a shim and the commit of its handle the agent may die; and a folder may stand
there that belongs to another sandbox of the same id, whose record was lost. The note tells both.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from cubelet.core.model import Handle
from cubelet.runtime.places import Place

#: The version that a shim most likely speaks of which only the address is known.
_VERSION = 2


@dataclass(frozen=True, slots=True)
class Note:
    """Of which incarnation the folder is, and its shim as far as it is known; `pid` may be 0."""

    incarnation: str
    handle: Handle | None = None


def write_note(place: Place, note: Note) -> None:
    """Replace the note whole. It has to outlive the agent, not the host: it is not synced."""
    beside = place.note.with_suffix(".tmp")
    beside.write_bytes(msgspec.json.encode(note))
    beside.replace(place.note)


def read_note(place: Place) -> Note | None:
    """The note; None where there is none, or none that can be read."""
    try:
        return msgspec.json.decode(place.note.read_bytes(), type=Note)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def read_address(place: Place) -> Handle | None:
    """What the bundle's file `address` tells, which shims of containerd 1.x and ours write.

    It is there where the agent died between a shim's start and the note of it.
    """
    try:
        address = (place.bundle / "address").read_text().strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return handle_at(address, _VERSION) if address else None


def handle_at(address: str, version: int) -> Handle:
    """A shim of which no process is known yet."""
    return Handle(
        address=address, version=version, shim_pid=0, shim_start_ticks=0, pid=0, pid_start_ticks=0
    )
