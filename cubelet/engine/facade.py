"""The engine's public face: what rpc may ask of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cubelet.core.bindings import Snapshot
from cubelet.core.conditions import Condition
from cubelet.core.effects import Entry
from cubelet.core.explain import Explanation, Forecast
from cubelet.core.inputs import Expected
from cubelet.core.model import Key, Record
from cubelet.core.node import Diagnosis, NodeStatus
from cubelet.core.spec import Spec
from cubelet.engine.ports import Backup

ANYTHING = Expected()


class Agent(Protocol):
    """All methods raise CubeletError with a typed fault, and nothing else but CancelledError.

    A caller that is cancelled or gives up never cancels the operation. A `key` makes a request
    idempotent: the same one with the same content gets the first one's answer, also after a restart
    of the agent, with another content it is refused (KEY_REUSED). Refusals that began nothing are
    not kept.
    """

    @property
    def runtimes(self) -> Sequence[str]:
        """Names of the usable runtimes, the default first."""
        ...

    async def create(
        self, spec: Spec, *, sandbox_id: str, namespace: str, key: Key | None = None
    ) -> Record:
        """Make and start a sandbox. Empty `spec.runtime`, id or namespace: the agent's choice.

        With a key and no id, the id follows from the key.
        """
        ...

    async def get(self, sandbox_id: str) -> Record:
        """One sandbox; asks the shim first where the outcome of an operation is open."""
        ...

    def resolve(self, text: str) -> str:
        """The id that `text` is, or is the only one to begin with; for people's hands only."""
        ...

    def view(self) -> Sequence[Record]:
        """All sandboxes from memory, newest first and ended ones last. Never waits."""
        ...

    def conditions(self, record: Record) -> Sequence[Condition]:
        """What is remarkable about a sandbox now, beside its state. Never waits."""
        ...

    def status(self) -> NodeStatus:
        """How the agent fares as a whole. Never waits."""
        ...

    async def doctor(self, *, fix: bool) -> Diagnosis:
        """Look over the host for what no record owns; with `fix`, kill and remove it.

        With `fix` the orphans say what became of each; one that stays is no error.
        """
        ...

    async def pause(
        self, sandbox_id: str, *, expected: Expected = ANYTHING, key: Key | None = None
    ) -> Record:
        """Pause it; returns when it is PAUSED and that is on disk.

        One that comes while another pause waits for its outcome gets that one's.
        """
        ...

    async def resume(
        self, sandbox_id: str, *, expected: Expected = ANYTHING, key: Key | None = None
    ) -> Record:
        """Resume it; returns when it is RUNNING and that is on disk. Joins like pause."""
        ...

    async def delete(self, sandbox_id: str, *, key: Key | None = None) -> None:
        """End and remove it, in whatever state it is."""
        ...

    async def commit(
        self, sandbox_id: str, *, snapshot_id: str, key: Key | None = None
    ) -> tuple[Record, Snapshot]:
        """Take a snapshot of the running sandbox, under a new name."""
        ...

    async def rollback(
        self, sandbox_id: str, *, snapshot_id: str, key: Key | None = None
    ) -> Record:
        """Put the running sandbox back to a snapshot."""
        ...

    def snapshots(self) -> Sequence[Snapshot]:
        """The catalog, oldest first. Never waits."""
        ...

    async def explain(self, sandbox_id: str) -> Explanation:
        """Why it is in its state, and what happens next and when. Asks no shim."""
        ...

    async def journal(self, sandbox_id: str, *, limit: int) -> Sequence[Entry]:
        """The newest `limit` entries of one sandbox, also of one that is gone, oldest first.

        "" for those of all.
        """
        ...

    async def reconcile(self, sandbox_id: str) -> Record:
        """Ask the shim now, follow what it says, and give the record after that."""
        ...

    async def forecast(self, sandbox_id: str) -> Forecast:
        """Ask the shim now, and say what `reconcile` would do; changes nothing."""
        ...

    async def repair(self, sandbox_id: str) -> Record:
        """Put kernel and shim of a DIVERGED sandbox in agreement, past the shim."""
        ...

    async def backup(self, name: str) -> Backup:
        """Copy the store to a new file while the agent goes on; "": a name that says when."""
        ...
