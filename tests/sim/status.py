"""How a simulated shim answers the question for its status, and how that goes wrong."""

from __future__ import annotations

import asyncio

from cubelet.core.evidence import Alive, Contradicted, Ended, Evidence, Gone, NoAnswer, Status
from tests.sim.shim import Shim
from tests.sim.world import World

_WRONG = (
    "status_unknown",
    "status_refused",
    "status_raises",
    "status_lost",
    "status_pausing",
    "status_other_process",
    "status_pid_zero",
    "status_lies_paused",
    "status_lies_running",
    "witness_flickers",
)


class AdapterBug(Exception):
    """What no runtime may raise."""


async def ask(world: World, shim: Shim) -> Evidence:
    """The agent's side of one question: the answer is what was true on its way, not on arrival."""
    wrong = world.swarm.first(*_WRONG)
    if wrong:
        shim.tainted(world.now_s + 5.0 if wrong == "status_lost" else None)
    if wrong == "status_raises":
        raise AdapterBug
    if wrong == "status_refused":
        return NoAnswer(why="connection refused")
    reply: asyncio.Future[Evidence] = world.loop.create_future()
    slow_s, shim.next_slow_s = shim.next_slow_s, 0.0
    if _slow(world, shim):
        slow_s = world.swarm.stream("status_slow").uniform(1, 12)
    there_s = world.rng.uniform(0.0003, 0.003)

    def answer() -> None:
        evidence = _evidence(shim, wrong)
        if not (wrong == "status_lost" and not world.swarm.over):
            world.after(world.work_time(there_s + slow_s), _deliver, reply, evidence)

    world.after(there_s, shim.ask, answer)
    return await reply


def _slow(world: World, shim: Shim) -> bool:
    slow = world.swarm.fires("status_slow")
    if slow:
        shim.tainted(world.now_s + 12.0)
    return slow


def _deliver(reply: asyncio.Future[Evidence], evidence: Evidence) -> None:
    if not reply.done():
        reply.set_result(evidence)


def _evidence(shim: Shim, wrong: str) -> Evidence:
    if shim.gone:
        return Gone(why="shim and sandbox are gone")
    if wrong == "status_unknown":
        return NoAnswer(why="status UNKNOWN")
    if shim.exit_code is not None:
        return Ended(exit_code=shim.exit_code, finished_at_ns=0)
    return _alive(shim, wrong)


def _alive(shim: Shim, wrong: str) -> Evidence:
    pid, ticks, says = shim.handle.pid, shim.handle.pid_start_ticks, shim.says
    match wrong:
        case "status_other_process":
            return Alive(status=_other(says), pid=pid, start_ticks=ticks + 1)
        case "status_pid_zero":
            return Alive(status=_other(says), pid=0)
        case "status_pausing":
            says = Status.PAUSING
        case "status_lies_paused":
            says = Status.PAUSED
        case "status_lies_running":
            says = Status.RUNNING
        case _:
            pass
    frozen = shim.frozen if shim.host.freezer else says is Status.PAUSED
    if wrong == "witness_flickers" and shim.host.freezer:
        frozen = not frozen
    if says in {Status.PAUSED, Status.RUNNING} and frozen is not (says is Status.PAUSED):
        if not shim.split:
            shim.lied_at_s = shim.world.now_s
        return Contradicted(says=says, frozen=frozen, pid=pid)
    if says in {Status.PAUSED, Status.RUNNING} and (says is Status.PAUSED) is not shim.frozen:
        shim.lied_at_s = shim.world.now_s
    generation = shim.generation if shim.host.counts_generations else None
    return Alive(status=says, pid=pid, start_ticks=ticks, generation=generation)


def _other(says: Status) -> Status:
    return Status.RUNNING if says is Status.PAUSED else Status.PAUSED
