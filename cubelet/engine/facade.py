"""The engine's public face: what rpc may ask of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cubelet.core.model import Record
from cubelet.core.spec import Spec


class Agent(Protocol):
    """All methods raise CubeletError with a typed fault, and nothing else but CancelledError.

    A caller that is cancelled or gives up never cancels the operation.
    """

    @property
    def runtimes(self) -> Sequence[str]:
        """Names of the usable runtimes, the default first."""
        ...

    async def create(self, spec: Spec, *, sandbox_id: str, namespace: str) -> Record:
        """Make and start a sandbox. Empty `spec.runtime`, id or namespace: the agent's choice."""
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

    async def pause(self, sandbox_id: str, *, expected_epoch: int | None = None) -> Record:
        """Pause it; returns when it is PAUSED and that is on disk."""
        ...

    async def resume(self, sandbox_id: str, *, expected_epoch: int | None = None) -> Record:
        """Resume it; returns when it is RUNNING and that is on disk."""
        ...

    async def delete(self, sandbox_id: str) -> None:
        """End and remove it, in whatever state it is."""
        ...
