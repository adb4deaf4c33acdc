"""I13: the same key gets the same answer, and makes at most one runtime call, over all lives."""

from __future__ import annotations

from cubelet.core.faults import Reason
from cubelet.core.model import Record
from tests.sim.calls import ShimCall
from tests.sim.checkers.base import Answer, Asked, Checker, Facts

#: Answers that say nothing of the request itself: it was not looked at, or not written down.
_PASSING = frozenset(
    {
        Reason.STORE_FAILED,
        Reason.SHUTTING_DOWN,
        Reason.TOO_BUSY,
        Reason.KEY_REUSED,
        Reason.DELETE_IN_PROGRESS,
        Reason.DELETED_MEANWHILE,
        Reason.BUG,
    }
)
_KEPT = frozenset(
    {
        Reason.RUNTIME_DEADLINE,
        Reason.RUNTIME_REFUSED,
        Reason.RUNTIME_LOST,
        Reason.RUNTIME_UNREACHABLE,
        Reason.AGENT_RESTARTED,
    }
)

_Name = tuple[str, str]


class Keys(Checker):
    """Remembers every keyed answer of a runtime call."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._answers: dict[_Name, tuple[str, str]] = {}
        self._calls: dict[_Name, tuple[str, int]] = {}

    def calling(self, record: Record, kind: str, call: ShimCall | None) -> None:
        for key in record.open.keys if record.open else ():
            name = (record.id, key.value)
            made = (record.incarnation, record.epoch)
            if self._calls.setdefault(name, made) != made:
                self.fail(f"I13 {record.id}: key {key.value} makes a second runtime call, {kind}")

    def answered(self, asked: Asked, answer: Answer) -> None:
        if asked.key is None or asked.kind == "delete":
            return
        fault = answer.fault
        if fault is not None and fault.reason in _PASSING:
            return
        if not answer.ok and (fault is None or fault.reason not in _KEPT):
            self._check_not_forgotten(asked, answer)
            return
        name = (asked.sandbox_id, asked.key.value)
        epoch = str(answer.record.epoch) if answer.record else ""
        told = (asked.key.digest, f"OK {epoch}" if answer.ok else str(fault and fault.reason))
        first = self._answers.setdefault(name, told)
        if first != told:
            self.fail(
                f"I13 {asked.sandbox_id}: key {asked.key.value} was answered {first[1]}, now"
                f" {told[1]}"
            )

    def died(self, *, power: bool) -> None:
        if power:
            self._calls.clear()

    def lost(self, sandbox_id: str) -> None:
        """Keys of an open operation go with its record, answers only with the whole store."""
        for name in list(self._calls):
            if sandbox_id in {name[0], ""}:
                del self._calls[name]
        if not sandbox_id:
            self._answers.clear()

    def _check_not_forgotten(self, asked: Asked, answer: Answer) -> None:
        assert asked.key is not None
        first = self._answers.get((asked.sandbox_id, asked.key.value))
        if first is not None and first[0] == asked.key.digest and answer.fault is not None:
            self.fail(
                f"I13 {asked.sandbox_id}: key {asked.key.value} was answered {first[1]}, now"
                f" refused: {answer.fault.reason}"
            )
