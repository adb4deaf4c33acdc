"""The way from a record to its shim, which may be known to the sandbox's note alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cubelet.core.faults import Code, Reason
from cubelet.core.model import Handle, Record
from cubelet.crashpoints import reach
from cubelet.runtime.faults import call_failed, failed
from cubelet.runtime.links import Links, Shim
from cubelet.runtime.note import read_note
from cubelet.runtime.places import place_of
from shimclient import ShimError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reach:
    """Finds the shims of one runtime's sandboxes."""

    state_dir: Path
    links: Links

    def handle(self, record: Record) -> Handle | None:
        """The record's, or the note's where the record could not be told of it."""
        if record.handle is not None:
            return record.handle
        note = read_note(place_of(self.state_dir, record.id))
        known = note is not None and note.incarnation == record.incarnation
        return note.handle if note is not None and known else None

    async def shim(self, record: Record, handle: Handle) -> Shim:
        """The shim over a living connection. Raises ConnectFailed."""
        link = self.links.of(record.id, place_of(self.state_dir, record.id))
        return await link.shim(handle.address, handle.version)

    async def call(self, record: Record, doing: str, call: Callable[[Shim], Awaitable[T]]) -> T:
        """Make calls to the sandbox's shim; a failure of theirs becomes a CallFailed."""
        handle = self.handle(record)
        if handle is None:
            message = f"cannot {doing} sandbox {record.id}: no shim of it is known"
            raise failed(Code.UNAVAILABLE, Reason.RUNTIME_UNREACHABLE, message)
        try:
            shim = await self.shim(record, handle)
            reach("runtime.call.begin")
            answer = await call(shim)
            reach("runtime.call.returned")
        except ShimError as failure:
            raise call_failed(failure, f"cannot {doing} sandbox {record.id}") from failure
        return answer
