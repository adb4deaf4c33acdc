"""The callers: they pause and resume, repeat themselves, give up, and come again after a crash."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine, Sequence
from random import Random
from typing import Any

from cubelet.core.bindings import INVALID_BASE, TEMPLATE_ID_KEY
from cubelet.core.faults import CubeletError
from cubelet.core.inputs import Expected
from cubelet.core.model import Key, Record, State
from cubelet.core.spec import Spec
from cubelet.engine.engine import Engine
from tests.sim.agent import Agent, AgentDown
from tests.sim.checkers.base import Answer, Asked
from tests.sim.dice import dice_of
from tests.sim.script import Act
from tests.sim.world import World

_RETRIES_MAX = 4
_KEYED = frozenset({"create", "pause", "resume", "commit", "rollback", "delete"})
#: Requests that take preconditions.
_GUARDED = frozenset({"pause", "resume"})
_STALE = Expected(epoch=1_000_000)


class Clients:
    """Carries out the acts that are requests. One task for each."""

    def __init__(self, world: World, agent: Agent, freezers: Sequence[bool]) -> None:
        self._world = world
        self._agent = agent
        self._freezers = freezers
        self._first: dict[tuple[str, str], float] = {}
        self._last_key: dict[int, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """How many still wait for an answer, or mean to try again."""
        return len(self._tasks)

    def send(self, act: Act) -> None:
        """Begin one request, now and then several times at once."""
        if act.what in {"storm", "id_reused"}:
            self._world.swarm.came(act.what)
        copies = 20 if act.what == "storm" else 1
        copies += self._world.swarm.fires("caller_repeats")
        for _ in range(copies):
            task = self._world.loop.create_task(self._insist(act), context=self._world.context)
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._world.judge.broken(f"BUG a caller broke: {bug!r}")

    async def _insist(self, act: Act) -> None:
        """Send it, and again with the same key where that may help."""
        dice = dice_of(act.seed)
        kind = self._kind(act)
        if act.what == "id_reused":
            await self._once(act, "delete", dice_of(act.seed), None)
        key = self._key(act, kind, dice)
        patient = self._world.swarm.fires("caller_retries")
        for _ in range(_RETRIES_MAX if patient else 1):
            answer = await self._once(act, kind, dice_of(act.seed), key)
            if answer.ok or (answer.fault is not None and not answer.fault.retryable):
                return
            await asyncio.sleep(self._world.work_time(dice.uniform(0.2, 15)))

    def _kind(self, act: Act) -> str:
        """What to ask for; a toggle looks first, as people do."""
        if act.what == "id_reused":
            return "create"
        if act.what not in {"toggle", "storm"}:
            return act.what
        record = self.seen(act.slot)
        return "resume" if record is not None and record.state is State.PAUSED else "pause"

    def _key(self, act: Act, kind: str, dice: Random) -> Key | None:
        if kind not in _KEYED or dice.random() < 0.4:
            return None
        value = f"key{act.number}"
        if self._world.swarm.fires("key_other_content"):
            value = self._last_key.get(act.slot, value)
        self._last_key[act.slot] = value
        digest = hashlib.blake2b(f"{kind}/{act.number}".encode(), digest_size=8).hexdigest()
        return Key(value=value, digest=digest)

    def neighbours(self, slot: int) -> list[int]:
        """The other slots of the same runtime."""
        kinds = enumerate(self._freezers)
        return [one for one, kind in kinds if kind is self._freezers[slot] and one != slot]

    async def ask(self, act: Act) -> Answer:
        """One request without a key, and its answer."""
        return await self._once(act, act.what, dice_of(act.seed), None)

    async def _once(self, act: Act, kind: str, dice: Random, key: Key | None) -> Answer:
        world, sandbox_id = self._world, f"sb{act.slot}"
        now_s = world.now_s
        name = (sandbox_id, key.value) if key else ("", "")
        first_s = self._first.setdefault(name, now_s) if key else now_s
        asked = Asked(kind, sandbox_id, now_s, first_s, world.loop.life, key)
        engine = self._agent.engine
        if engine is None or not self._agent.serving:
            return Answer(ok=False)
        if kind in {"list", "explain", "journal"}:
            return await self._read(asked, engine)
        world.note(f"{sandbox_id} {kind} asked, key {key.value if key else None}")
        expected = self._expected(act, dice)
        if kind in _GUARDED:
            asked.expected = expected
        world.judge.asked(asked)
        answer = await self._wait(self._request(engine, asked, act, dice))
        said = "OK" if answer.ok else answer.fault.reason if answer.fault else "nothing"
        world.note(f"{sandbox_id} {kind} answered {said}")
        world.judge.answered(asked, answer)
        return answer

    async def _wait(self, work: Coroutine[Any, Any, Any]) -> Answer:
        world = self._world
        try:
            reply = self._agent.call(work)
            if world.swarm.fires("caller_cancels"):
                patience_s = world.swarm.stream("caller_cancels").uniform(0, 5)
                world.after(patience_s, reply.cancel)
            value = await reply
        except CubeletError as refused:
            return Answer(ok=False, fault=refused.fault)
        except (AgentDown, asyncio.CancelledError):
            return Answer(ok=False)
        if isinstance(value, tuple):
            record, snapshot = value
            return Answer(ok=True, record=record, snapshot_id=snapshot.id)
        return Answer(ok=True, record=value if isinstance(value, Record) else None)

    async def _read(self, asked: Asked, engine: Engine) -> Answer:
        """What never waits for a shim."""
        world = self._world
        world.judge.asked(asked)
        if asked.kind == "list":
            engine.view()
            answer = Answer(ok=True)
        elif asked.kind == "explain":
            answer = await self._wait(engine.explain(asked.sandbox_id))
        else:
            answer = await self._wait(engine.journal(asked.sandbox_id, limit=5))
        world.judge.answered(asked, answer)
        return answer

    def _request(  # noqa: PLR0911 - one arm for each kind.
        self, engine: Engine, asked: Asked, act: Act, dice: Random
    ) -> Coroutine[Any, Any, Any]:
        sandbox_id, key, expected = asked.sandbox_id, asked.key, asked.expected
        match asked.kind:
            case "pause":
                return engine.pause(sandbox_id, expected=expected, key=key)
            case "resume":
                return engine.resume(sandbox_id, expected=expected, key=key)
            case "commit":
                name = self._name(act, dice_of(act.seed + 1))
                return engine.commit(sandbox_id, snapshot_id=name, key=key)
            case "rollback":
                return engine.rollback(
                    sandbox_id, snapshot_id=self._snapshot(engine, act, dice), key=key
                )
            case "delete":
                return engine.delete(sandbox_id, key=key)
            case "create":
                spec = self._spec(engine, act, dice)
                return engine.create(spec, sandbox_id=sandbox_id, namespace="", key=key)
            case "get":
                return engine.get(sandbox_id)
            case "reconcile":
                return engine.reconcile(sandbox_id)
            case "forecast":
                return engine.forecast(sandbox_id)
            case _:
                return engine.repair(sandbox_id)

    def _name(self, act: Act, dice: Random) -> str:
        """A new one, one of a few that many use, or the one that none may use; by the act alone."""
        if act.name:
            return act.name
        if dice.random() < 0.02:
            return INVALID_BASE
        return f"shared{act.number // 12}" if dice.random() < 0.3 else f"snap{act.number}"

    def _expected(self, act: Act, dice: Random) -> Expected:
        """Now and then what the caller has seen is what it expects, or what it saw long ago."""
        if self._world.swarm.fires("stale_precondition"):
            return _STALE
        record = self.seen(act.slot)
        if record is None or dice.random() < 0.8:
            return Expected()
        return Expected(epoch=record.epoch, state=record.state)

    def _spec(self, engine: Engine, act: Act, dice: Random) -> Spec:
        runtime = "freezer" if self._freezers[act.slot] else "opaque"
        snapshot = self._snapshot(engine, act, dice) if dice.random() < 0.4 else ""
        annotations = {TEMPLATE_ID_KEY: snapshot} if snapshot and dice.random() < 0.5 else {}
        return Spec(runtime=runtime, args=("run",), snapshot=snapshot, annotations=annotations)

    def _snapshot(self, engine: Engine, act: Act, dice: Random) -> str:
        runtime = "freezer" if self._freezers[act.slot] else "opaque"
        mine = sorted(one.id for one in engine.snapshots() if one.runtime == runtime)
        return dice.choice(mine) if mine else ""

    def seen(self, slot: int) -> Record | None:
        """What readers see of it."""
        engine = self._agent.engine
        if engine is None:
            return None
        return next((one for one in engine.view() if one.id == f"sb{slot}"), None)
