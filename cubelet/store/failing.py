"""A store whose disk fails when a test says so."""

from __future__ import annotations

from collections.abc import Sequence

from cubelet.core.effects import Entry
from cubelet.core.faults import Code, Reason, error
from cubelet.engine.ports import Change, Loaded, Store


class FailingStore:
    """Passes calls on to `inner`; commits fail as told by `fail`, before they reach it."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self._good_left: int | None = None
        self._for_ever = False
        #: Commits that were asked for, failed ones too.
        self.commits = 0

    def fail(self, *, nth: int = 1, for_ever: bool = False) -> None:
        """Let the n-th commit from now on fail, 1 being the next; or that and all after it."""
        self._good_left = nth - 1
        self._for_ever = for_ever

    def heal(self) -> None:
        """Fail no more."""
        self._good_left = None

    async def load(self) -> Loaded:
        """As the inner store."""
        return await self._inner.load()

    async def commit(self, change: Change) -> None:
        """As the inner store, or STORE_FAILED and nothing written."""
        self.commits += 1
        if self._due():
            message = "cannot write to the store: OperationalError (SQLITE_FULL): a test's wish"
            raise error(Code.UNAVAILABLE, Reason.STORE_FAILED, message)
        await self._inner.commit(change)

    async def journal(self, sandbox_id: str, *, limit: int) -> Sequence[Entry]:
        """As the inner store."""
        return await self._inner.journal(sandbox_id, limit=limit)

    async def close(self) -> None:
        """As the inner store."""
        await self._inner.close()

    def _due(self) -> bool:
        if self._good_left is None:
            return False
        if self._good_left > 0:
            self._good_left -= 1
            return False
        if not self._for_ever:
            self._good_left = None
        return True
