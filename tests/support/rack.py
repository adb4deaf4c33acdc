"""Many toy shims behind one runtime, so that one can hang while the others answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from cubelet.core.bindings import CommitPlan, Snapshot
from cubelet.core.evidence import Evidence
from cubelet.core.model import Handle, Record
from cubelet.core.spec import Spec
from cubelet.engine.ports import Capabilities, Committed, Trace
from tests.support.engine import ToyRuntime


@dataclass
class Rack:
    """Implements the Runtime port; `toys` has one for each sandbox, made at its first call."""

    capabilities: Capabilities = field(default_factory=Capabilities)
    name: str = "toy"

    def __post_init__(self) -> None:
        self.toys: defaultdict[str, ToyRuntime] = defaultdict(
            lambda: ToyRuntime(capabilities=self.capabilities)
        )

    def check(self, spec: Spec) -> None:
        return

    async def create(self, record: Record) -> Handle:
        return await self.toys[record.id].create(record)

    async def pause(self, record: Record) -> None:
        await self.toys[record.id].pause(record)

    async def resume(self, record: Record) -> None:
        await self.toys[record.id].resume(record)

    async def state(self, record: Record) -> Evidence:
        return await self.toys[record.id].state(record)

    async def commit(self, record: Record, plan: CommitPlan) -> Committed:
        return await self.toys[record.id].commit(record, plan)

    async def rollback(self, record: Record, snapshot: Snapshot) -> int:
        return await self.toys[record.id].rollback(record, snapshot)

    async def heal(self, record: Record, *, frozen: bool) -> None:
        await self.toys[record.id].heal(record, frozen=frozen)

    async def destroy(self, record: Record) -> None:
        await self.toys[record.id].destroy(record)

    async def traces(self, but: Collection[str] = frozenset()) -> Sequence[Trace]:
        return [trace for toy in self.toys.values() for trace in await toy.traces(but)]

    async def clear(self, trace: Trace) -> None:
        await self.toys[trace.sandbox_id].clear(trace)
