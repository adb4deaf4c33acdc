"""One call to a simulated shim: what it is to do, how it goes wrong, and who waits for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Any

from cubelet.core.bindings import CommitPlan, Snapshot
from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.model import Call, Record
from cubelet.engine.ports import CallFailed
from tests.sim.faults import Swarm
from tests.sim.world import World

_ENDINGS = (
    "error_before_effect",
    "error_after_effect",
    "reply_lost",
    "unreachable",
    "connection_lost_during",
    "connection_lost_after",
)
_FREEZER_ENDINGS = ("helper_killed_before_effect", "helper_killed_after_effect")


@dataclass(slots=True, eq=False)
class ShimCall:
    """A pause, resume, commit or rollback on its way through a shim."""

    kind: str
    record: Record
    reply: asyncio.Future[Any]
    began_s: float
    life: int
    arrives_s: float
    takes_s: float
    mishap: str
    plan: CommitPlan | None = None
    snapshot: Snapshot | None = None
    #: The shim is through with it, however it ended there.
    over: bool = False
    over_s: float | None = None
    #: How the agent saw it end: None while it waits, "ok", or how it failed.
    seen: str | None = None
    cut: bool = False
    notes: list[str] = field(default_factory=list)

    def answer(self, value: object) -> None:
        """The reply arrives, if somebody is still there."""
        if not self.reply.done():
            self.seen = "ok"
            self.reply.set_result(value)

    def fail(self, text: str, *, call: Call, reason: Reason = Reason.RUNTIME_REFUSED) -> None:
        """An error arrives, or the connection is seen to be gone."""
        if not self.reply.done():
            self.seen = f"failed {call}"
            self.reply.set_exception(failure(text, call=call, reason=reason))

    def lose(self) -> None:
        """The connection is gone; no answer will come."""
        self.fail("connection lost", call=Call.LOST, reason=Reason.RUNTIME_LOST)


def failure(text: str, *, call: Call, reason: Reason = Reason.RUNTIME_REFUSED) -> CallFailed:
    """The exception of the runtime port."""
    code = Code.UNAVAILABLE if call is Call.LOST else Code.ABORTED
    return CallFailed(Fault(code=code, reason=reason, message=text), call=call)


def draw_time_s(swarm: Swarm, rng: Random) -> float:
    """Mostly below 3 s, some near the deadline, some far beyond it, some for ever."""
    dice = swarm.stream
    match swarm.first("call_slow", "call_near_deadline", "call_very_slow", "call_hangs"):
        case "call_slow":
            return dice("call_slow").uniform(5, 25)
        case "call_near_deadline":
            return dice("call_near_deadline").uniform(28, 55)
        case "call_very_slow":
            return dice("call_very_slow").uniform(60, 200)
        case "call_hangs":
            return 1e6
        case _:
            return rng.uniform(0.01, 1.0) if rng.random() < 0.7 else rng.uniform(1.0, 3.0)


def draw_arrival_s(swarm: Swarm, rng: Random) -> float:
    """How long the request sits in the socket before the shim reads it."""
    if swarm.fires("request_late"):
        return swarm.stream("request_late").uniform(1, 45)
    return rng.uniform(0.0005, 0.01)


def draw_mishap(swarm: Swarm, kind: str, *, freezer: bool) -> str:
    """How it goes wrong, "" if well."""
    special = {
        "pause": ("failed_pause_says_paused",),
        "resume": ("half_resume_says_paused",),
    }.get(kind, ())
    killed = _FREEZER_ENDINGS if freezer and kind in {"pause", "resume"} else ()
    return swarm.first(*special, *killed, *_ENDINGS)


def draw(world: World, kind: str, record: Record, *, freezer: bool) -> ShimCall:
    """A new call with its fate."""
    swarm, rng = world.swarm, world.rng
    return ShimCall(
        kind=kind,
        record=record,
        reply=world.loop.create_future(),
        began_s=world.now_s,
        life=world.loop.life,
        arrives_s=draw_arrival_s(swarm, rng),
        takes_s=draw_time_s(swarm, rng),
        mishap=draw_mishap(swarm, kind, freezer=freezer),
    )
