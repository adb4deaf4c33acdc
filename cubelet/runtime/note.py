"""The note in a sandbox's folder: by it a shim is found that no record knows yet, or any more.

Between the start of a shim and the commit of its handle the agent may die; a folder may stand there
that belongs to another sandbox of the same id; and the store may be lost, of which the note has
what cannot be asked of the shim. The note tells all of them.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import msgspec

from cubelet.core.model import Handle, Record
from cubelet.crashpoints import reach
from cubelet.runtime.places import Place

#: The version that a shim most likely speaks of which only the address is known.
_VERSION = 2


@dataclass(frozen=True, slots=True)
class Note:
    """Of which incarnation the folder is, and its shim as far as it is known; `pid` may be 0.

    `record` is as it was when the create began; None in a note that an older agent wrote.
    """

    incarnation: str
    handle: Handle | None = None
    record: Record | None = None

    @classmethod
    def of(cls, record: Record, handle: Handle | None = None) -> Note:
        """The note of a sandbox that is being created."""
        return cls(record.incarnation, handle, replace(record, open=None, handle=None))

    @property
    def told(self) -> Record | None:
        """The record with the shim that the note knows; None where there is no record in it."""
        return self.record and replace(self.record, handle=self.handle)


class _Sheet(msgspec.Struct, frozen=True):
    """What is in the file: the note, and the CRC-32 of its bytes, so that a flaw is no fact."""

    crc32: int
    note: msgspec.Raw


def write_note(place: Place, note: Note) -> None:
    """Replace the note whole. It has to outlive the agent, not the host: it is not synced."""
    text = msgspec.json.encode(note)
    beside = place.note.with_suffix(".tmp")
    beside.write_bytes(msgspec.json.encode(_Sheet(zlib.crc32(text), msgspec.Raw(text))))
    reach("runtime.note.beside")
    beside.replace(place.note)
    reach("runtime.note.written")


def read_note(place: Place) -> Note | None:
    """The note; None where there is none, or none that can be read."""
    try:
        return _note_in(place.note.read_bytes())
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _note_in(data: bytes) -> Note | None:
    try:
        sheet = msgspec.json.decode(data, type=_Sheet)
    except msgspec.ValidationError:
        # As an older agent wrote it, bare; what it says of a record would not be checked.
        bare = msgspec.json.decode(data, type=Note)
        return None if bare.record else bare
    if zlib.crc32(sheet.note) != sheet.crc32:
        return None
    return msgspec.json.decode(sheet.note, type=Note)


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
