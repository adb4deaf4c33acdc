"""A store whose disk fails when a test says so."""

from __future__ import annotations

from collections.abc import Sequence

from cubelet.core.effects import Entry
from cubelet.core.model import Outcome
from cubelet.engine.ports import Backup, Change, Loaded, Store, StoreFailed


class Failures:
    """When one kind of access fails: not at all, until `plan` says so."""

    def __init__(self) -> None:
        self._good_left: int | None = None
        self._for_ever = False
        #: Accesses that were asked for, failed ones too.
        self.asked = 0

    def plan(self, *, nth: int = 1, for_ever: bool = False) -> None:
        """Let the n-th from now on fail, 1 being the next; or that and all after it."""
        self._good_left = nth - 1
        self._for_ever = for_ever

    def heal(self) -> None:
        """Fail no more."""
        self._good_left = None

    def due(self) -> bool:
        """Count one access; whether it is to fail."""
        self.asked += 1
        if self._good_left is None:
            return False
        if self._good_left > 0:
            self._good_left -= 1
            return False
        if not self._for_ever:
            self._good_left = None
        return True


class FailingStore:
    """Passes calls on to `inner`, but for those that fail by plan before they reach it."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        #: The plan for `commit`, `completed`, `retain`, `probe` and `backup`.
        self.writes = Failures()
        #: The plan for `load`, `journal` and `outcome`.
        self.reads = Failures()

    async def load(self) -> Loaded:
        """As the inner store, or STORE_FAILED."""
        self._read()
        return await self._inner.load()

    async def commit(self, change: Change) -> None:
        """As the inner store, or STORE_FAILED and nothing written."""
        self._write()
        await self._inner.commit(change)

    async def journal(self, sandbox_id: str, *, limit: int) -> Sequence[Entry]:
        """As the inner store, or STORE_FAILED."""
        self._read()
        return await self._inner.journal(sandbox_id, limit=limit)

    async def outcome(self, sandbox_id: str, key: str) -> Outcome | None:
        """As the inner store, or STORE_FAILED."""
        self._read()
        return await self._inner.outcome(sandbox_id, key)

    async def completed(self) -> None:
        """As the inner store, or STORE_FAILED and nothing written."""
        self._write()
        await self._inner.completed()

    async def retain(self, now_ns: int) -> int:
        """As the inner store, or STORE_FAILED and nothing dropped."""
        self._write()
        return await self._inner.retain(now_ns)

    async def probe(self) -> None:
        """As the inner store, or STORE_FAILED."""
        self._write()
        await self._inner.probe()

    async def backup(self, name: str) -> Backup:
        """As the inner store, or STORE_FAILED and no file."""
        self._write()
        return await self._inner.backup(name)

    async def close(self) -> None:
        """As the inner store."""
        await self._inner.close()

    def _write(self) -> None:
        if self.writes.due():
            raise _failed("write to", "SQLITE_FULL")

    def _read(self) -> None:
        if self.reads.due():
            raise _failed("read", "SQLITE_IOERR")


def _failed(doing: str, name: str) -> StoreFailed:
    message = f"cannot {doing} the store: OperationalError ({name}): a test's wish"
    return StoreFailed(message, cause=name)
