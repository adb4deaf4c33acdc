"""What a checker is told, and what it can look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cubelet.core.bindings import CommitPlan
from cubelet.core.faults import Fault
from cubelet.core.inputs import Expected
from cubelet.core.model import Key, Record
from cubelet.engine.facade import ANYTHING
from cubelet.engine.ports import Change
from shimclient.fake.memory import Image, Mode
from tests.sim.calls import ShimCall
from tests.sim.shim import Shim
from tests.sim.vm import Vm

if TYPE_CHECKING:
    from tests.sim.agent import Agent
    from tests.sim.disk import Disk
    from tests.sim.runtime import SimRuntime
    from tests.sim.world import World

T_OP_S = 30.0
T_QUERY_S = 5.0
T_STUCK_S = 60.0
T_SETTLE_S = 10.0
RELIST_S = 10.0
SLACK_S = 1.0
T_SNAPSHOT_S = 60.0
T_CREATE_S = 60.0
T_DESTROY_S = 30.0
T_HEAL_S = 10.0


class Violated(Exception):
    """A promise is broken."""


@dataclass(slots=True, eq=False)
class Asked:
    """One request on its way. `first_s`: when the first one with the same key was sent."""

    kind: str
    sandbox_id: str
    at_s: float
    first_s: float
    life: int
    key: Key | None = None
    #: What the caller takes for granted.
    expected: Expected = ANYTHING
    #: Whether the agent had this key before, of whatever request.
    repeated: bool = False


@dataclass(slots=True)
class Answer:
    """What came of it: exactly one of `ok`, `fault`, or neither where nobody answered."""

    ok: bool
    record: Record | None = None
    fault: Fault | None = None
    snapshot_id: str = ""


@dataclass(slots=True)
class Facts:
    """The whole truth."""

    world: World
    disk: Disk
    agent: Agent
    runtimes: Mapping[str, SimRuntime]

    def shim(self, record: Record) -> Shim | None:
        """The shim of a record's incarnation."""
        return self.runtimes[record.spec.runtime].find(record)

    def shims(self) -> list[Shim]:
        """All that ever were."""
        return [shim for runtime in self.runtimes.values() for shim in runtime.shims.values()]

    def intended_s(self, record: Record) -> float:
        """When the open operation was begun: it is old by that, however late its call was made.

        Now, where none is open: a planted fault may have ended it.
        """
        op = record.open
        return op.started_at.mono_s + self.world.booted_at_s if op else self.world.now_s

    def settled_since_s(self, shim: Shim) -> float:
        """From then on agent, store and shim worked and were true, as far as it is known now."""
        return max(
            shim.honest_since_s,
            shim.lied_at_s,
            shim.split_end_s,
            self.disk.good_since_s,
            self.agent.up_since_s,
        )


class Checker:
    """Overrides what it wants to hear of."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.world = facts.world

    def fail(self, text: str) -> None:
        """End the run here."""
        raise Violated(text)

    def written(self, before: Record | None, change: Change) -> None:
        """A transaction has reached the disk."""

    def calling(self, record: Record, kind: str, call: ShimCall | None) -> None:
        """The engine makes a runtime call, a create included."""

    def called(self, record: Record, call: ShimCall) -> None:
        """The engine has learned how its call ended."""

    def healing(self, record: Record, shim: Shim | None) -> None:
        """The engine goes past the shim."""

    def destroying(self, record: Record) -> None:
        """The engine removes a sandbox."""

    def committing(self, shim: Vm, plan: CommitPlan, mode: Mode, base: Image | None) -> None:
        """A shim is about to write a snapshot."""

    def committed(self, shim: Vm, plan: CommitPlan, image: Image) -> None:
        """It has written it."""

    def asked(self, asked: Asked) -> None:
        """A caller has sent a request."""

    def answered(self, asked: Asked, answer: Answer) -> None:
        """A caller has its answer, or knows that none will come."""

    def serving(self) -> None:
        """A new agent has started."""

    def died(self, *, power: bool) -> None:
        """The agent is gone, and what it had not written with it."""

    def lost(self, sandbox_id: str) -> None:
        """Between two agents the record of this sandbox was damaged, with "" the whole store."""

    def gap(self) -> None:
        """The event stream broke, and the agent knows it: anything may have been missed."""

    def sampled(self, view: Sequence[Record]) -> None:
        """Once a second: what readers see."""

    def quiet(self, view: Sequence[Record]) -> None:
        """The calm has lasted long enough for everything to be right."""
