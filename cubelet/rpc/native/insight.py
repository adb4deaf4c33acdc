"""The RPCs that say why, and that mend: Explain, Journal, Reconcile, Repair."""

from __future__ import annotations

from typing import Any

from cubelet.api.v1 import sandboxes_pb2 as pb
from cubelet.core.effects import Entry
from cubelet.core.explain import Forecast, Step
from cubelet.core.ids import check_id
from cubelet.rpc.native.group import Group
from cubelet.rpc.native.messages import WIRE_STATES, duration, sandbox_to_wire, stamp
from cubelet.rpc.texts import wire_text
from cubelet.rpc.validate import bad

JOURNAL_DEFAULT = 100
JOURNAL_MAX = 1000


class Insight(Group):
    """None of them waits for an operation."""

    async def Explain(  # noqa: N802 - the RPC's name, as all below.
        self, request: pb.ExplainRequest, context: Any
    ) -> pb.ExplainResponse:
        """Why one sandbox is in its state, by its id or by a prefix that no other has."""
        del context
        found = await self._agent.explain(self._agent.resolve(check_id(request.id, "id")))
        return pb.ExplainResponse(
            sandbox=sandbox_to_wire(found.record, found.conditions),
            why=wire_text(found.why),
            next_steps=[_step(step) for step in found.next_steps],
            ways_out=[wire_text(way) for way in found.ways_out],
            journal=[_entry(entry) for entry in found.journal],
        )

    async def Journal(  # noqa: N802
        self, request: pb.JournalRequest, context: Any
    ) -> pb.JournalResponse:
        """The newest entries of one sandbox or of all."""
        del context
        if not 0 <= request.limit <= JOURNAL_MAX:
            rule = f"use 1 to {JOURNAL_MAX}, or 0 for {JOURNAL_DEFAULT}"
            raise bad("limit", request.limit, rule)
        sandbox_id = check_id(request.id, "id") if request.id else ""
        limit = request.limit or JOURNAL_DEFAULT
        entries = await self._agent.journal(sandbox_id, limit=limit)
        return pb.JournalResponse(entries=[_entry(entry) for entry in entries])

    async def Reconcile(  # noqa: N802
        self, request: pb.ReconcileRequest, context: Any
    ) -> pb.ReconcileResponse:
        """Ask the shim now, and follow what it says or only say what would follow."""
        del context
        sandbox_id = check_id(request.id, "id")
        if request.dry_run:
            forecast = await self._agent.forecast(sandbox_id)
            return pb.ReconcileResponse(forecast=_forecast(forecast))
        record = await self._agent.reconcile(sandbox_id)
        return pb.ReconcileResponse(sandbox=self._shown(record))

    async def Repair(  # noqa: N802
        self, request: pb.RepairRequest, context: Any
    ) -> pb.RepairResponse:
        """Put kernel and shim in agreement."""
        del context
        record = await self._agent.repair(check_id(request.id, "id"))
        return pb.RepairResponse(sandbox=self._shown(record))


def _step(step: Step) -> pb.Step:
    after = None if step.in_s is None else duration(step.in_s)
    return pb.Step(what=wire_text(step.what), after=after)


def _forecast(forecast: Forecast) -> pb.Forecast:
    return pb.Forecast(
        evidence=wire_text(forecast.evidence),
        before=WIRE_STATES[forecast.before],
        after=WIRE_STATES[forecast.after],
        would=[wire_text(line) for line in forecast.would],
    )


def _entry(entry: Entry) -> pb.JournalEntry:
    return pb.JournalEntry(
        sandbox_id=entry.sandbox_id,
        incarnation=entry.incarnation,
        revision=entry.revision,
        epoch=entry.epoch,
        at=stamp(entry.at_ns),
        cause=entry.cause.value,
        before=WIRE_STATES[entry.before] if entry.before else pb.STATE_UNSPECIFIED,
        after=WIRE_STATES[entry.after],
        operation_id=entry.op_id,
        detail=wire_text(entry.detail),
    )
