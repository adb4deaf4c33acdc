"""Tells every checker what it wants to hear, and stops the run at the first broken promise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cubelet.core.bindings import CommitPlan
from cubelet.core.model import Record
from cubelet.engine.ports import Change
from shimclient.fake.memory import Image, Mode
from tests.sim.calls import ShimCall
from tests.sim.checkers.answers import Answers
from tests.sim.checkers.base import Answer, Asked, Checker, Facts, Violated
from tests.sim.checkers.bindings import BindingsHold
from tests.sim.checkers.calls import OneCall
from tests.sim.checkers.customs import Customs
from tests.sim.checkers.degraded import Degraded
from tests.sim.checkers.divergence import Divergence
from tests.sim.checkers.durable import Durable
from tests.sim.checkers.endings import Endings
from tests.sim.checkers.gaps import Gaps
from tests.sim.checkers.isolation import Isolation
from tests.sim.checkers.journal import Journal
from tests.sim.checkers.keys import Keys
from tests.sim.checkers.known import Known
from tests.sim.checkers.patience import Patience
from tests.sim.checkers.prompt import Prompt
from tests.sim.checkers.quiescence import Quiescence
from tests.sim.checkers.restores import Restores
from tests.sim.checkers.settling import Settling
from tests.sim.checkers.stuck import Stuck
from tests.sim.checkers.truth import TrueEdges
from tests.sim.shim import Shim
from tests.sim.vm import Vm

CHECKERS: tuple[type[Checker], ...] = (
    Stuck,
    TrueEdges,
    BindingsHold,
    Endings,
    Answers,
    Durable,
    OneCall,
    Patience,
    Keys,
    Journal,
    Isolation,
    Divergence,
    Prompt,
    Restores,
    Customs,
    Gaps,
    Degraded,
    Known,
    Quiescence,
)


class Judge:
    """The one that the world knows. After the first violation it hears nothing more."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.violations: list[str] = []
        self.settling = Settling(facts)
        self._checkers = [self.settling, *(kind(facts) for kind in CHECKERS)]
        self._hearers: dict[str, list[Callable[..., None]]] = {}

    def broken(self, text: str) -> None:
        """A promise is broken: note it, and end the run."""
        if not self.violations:
            self.facts.world.note(f"VIOLATION {text}")
        self.violations.append(text)
        self.facts.world.loop.stop()

    def given_up(self, record: Record) -> bool:
        """Whether the agent has settled the operation that this record was called with."""
        written = self.facts.disk.tables.records.get(record.id)
        return written is None or written.open is None or written.epoch != record.epoch

    def written(self, before: Record | None, change: Change) -> None:
        self._tell("written", before, change)

    def calling(self, record: Record, kind: str, call: ShimCall | None) -> None:
        self._tell("calling", record, kind, call)

    def called(self, record: Record, call: ShimCall) -> None:
        self._tell("called", record, call)

    def healing(self, record: Record, shim: Shim | None) -> None:
        self._tell("healing", record, shim)

    def destroying(self, record: Record) -> None:
        self._tell("destroying", record)

    def committing(self, shim: Vm, plan: CommitPlan, mode: Mode, base: Image | None) -> None:
        self._tell("committing", shim, plan, mode, base)

    def committed(self, shim: Vm, plan: CommitPlan, image: Image) -> None:
        self._tell("committed", shim, plan, image)

    def asked(self, asked: Asked) -> None:
        self._tell("asked", asked)

    def answered(self, asked: Asked, answer: Answer) -> None:
        self._tell("answered", asked, answer)

    def serving(self) -> None:
        self._tell("serving")

    def died(self, *, power: bool) -> None:
        self._tell("died", power=power)

    def lost(self, sandbox_id: str) -> None:
        self._tell("lost", sandbox_id)

    def gap(self) -> None:
        self._tell("gap")

    def sampled(self, view: Sequence[Record]) -> None:
        self._tell("sampled", view)

    def quiet(self, view: Sequence[Record]) -> None:
        self._tell("quiet", view)

    def _tell(self, what: str, *args: Any, **kwargs: Any) -> None:
        if self.violations:
            return
        hearers = self._hearers.get(what)
        if hearers is None:
            hearers = self._hearers[what] = [
                getattr(checker, what)
                for checker in self._checkers
                if getattr(type(checker), what) is not getattr(Checker, what)
            ]
        try:
            for hear in hearers:
                hear(*args, **kwargs)
        except Violated as violated:
            self.broken(str(violated))
