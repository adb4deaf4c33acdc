"""Callers, each with a sandbox of its own, who ask over both doors, with a key each time."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cubelet.api.v1 import sandboxes_pb2 as api
from scripts.crashes.lives import CUT_SHORT, NONE, Answer, Ask, Life
from scripts.crashes.rig import Died, Refused, Rig

_SHELL: Final = ("/bin/sh", "-c", "while :; do sleep 0.2; done")
#: Nobody listens there: a hook that fails at once, which does not stop its pause.
_HOOK: Final = api.HttpHook(host="127.0.0.1", port=1, path="/")
#: What is asked again a moment later: something else goes on with this sandbox.
_AGAIN: Final = frozenset({"TOO_BUSY", "OPERATION_IN_PROGRESS"})
_AGAIN_S: Final = 0.05
#: How often a request is sent twice at once, and how often one is for a sandbox that is not.
_TWICE: Final = 0.1
_NOBODY: Final = 0.02
_SETTLED_S: Final = 20.0
_LOOK_S: Final = 0.05


class Broken(Exception):
    """A promise was not kept."""


@dataclass(slots=True)
class Load:
    """So many callers, and everything that they were told."""

    rig: Rig
    dice: random.Random
    seats: Sequence[api.Spec]
    lives: list[Life] = field(default_factory=list)
    acknowledged: int = 0
    #: Reasons of refusals that are no surprise, besides that of a crash.
    tolerated: frozenset[str] = frozenset()
    _seated: list[Life] = field(default_factory=list)
    _count: itertools.count[int] = field(default_factory=itertools.count)

    async def run(self, seconds: float) -> None:
        """Drive all of them for a while, or until the agent dies. Raises Died and Broken."""
        self.people()
        over = asyncio.get_running_loop().time() + seconds
        callers = [asyncio.create_task(self._drive(seat, over)) for seat in range(len(self.seats))]
        try:
            await asyncio.gather(*callers)
        finally:
            for caller in callers:
                caller.cancel()
            outcomes = await asyncio.gather(*callers, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Broken):
                raise outcome

    def people(self) -> list[Life]:
        """Who sits in each seat now."""
        if not self._seated:
            self._seated = [self._new(spec) for spec in self.seats]
        return list(self._seated)

    async def send(self, life: Life, ask: Ask) -> None:
        """Send it and note the answer; a refusal is followed by a look at what is so now."""
        life.pending = ask
        try:
            reply = await self._ask(ask)
        except Refused as refused:
            await self._refused(life, ask, refused)
            return
        self.acknowledged += 1
        life.answered(Answer(ask, lasting(reply)))
        if ask.verb != "Delete" and (shown := name_of(reply.sandbox)) != ask.target:
            raise Broken(f"{ask.verb} of {life.id} was answered, but it is {shown}")

    def living(self) -> list[Life]:
        """Those that are there, as far as was acknowledged."""
        return [life for life in self.lives if not life.over and life.state != NONE]

    async def settle(self) -> None:
        """Get an answer to whatever has none. Raises Died, Broken."""
        asks = [(life, life.pending) for life in self.lives if life.pending]
        await asyncio.gather(*(self.send(life, ask) for life, ask in asks))

    async def delete_all(self) -> None:
        """Delete whatever is left of them. Raises Died, Broken."""
        while left := [life for life in self.lives if life.pending or life.state != NONE]:
            await asyncio.gather(*(self._end(life) for life in left))

    async def _end(self, life: Life) -> None:
        await self.send(life, life.pending or life.ask("Delete", self.dice))

    async def _drive(self, seat: int, over: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < over:
            life = self._seated[seat]
            if life.pending is not None:  # Its answer was lost: the same request, the same key.
                await self.send(life, life.pending)
            elif life.over:
                self._seated[seat] = self._new(life.spec)
            else:
                await self.send(life, life.next(self.dice))
            if self.dice.random() < _NOBODY:
                await self._ask_for_nobody()

    def _new(self, spec: api.Spec) -> Life:
        life = Life(f"{self.rig.folder.name}-{next(self._count):05}", spec)
        self.lives.append(life)
        return life

    async def _ask(self, ask: Ask) -> Any:
        """Now and then twice at once: both get one answer."""
        twice = self.dice.random() < _TWICE
        asks = [
            asyncio.create_task(
                self.rig.ask(ask.verb, ask.request, ask.reply, over_grpc=ask.over_grpc)
            )
            for _ in range(2 if twice else 1)
        ]
        outcomes = await asyncio.gather(*asks, return_exceptions=True)
        if any(isinstance(outcome, Died) for outcome in outcomes):
            raise Died
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        if any(outcome != outcomes[0] for outcome in outcomes):
            raise Broken(f"one request, sent twice at once, two answers: {outcomes}")
        return outcomes[0]

    async def _ask_for_nobody(self) -> None:
        try:
            await self.rig.ask("Get", api.GetRequest(id="nobody"), api.GetResponse)
        except Refused as refused:
            if refused.reason != "SANDBOX_NOT_FOUND":
                raise Broken(f"Get of nobody: {refused}") from None

    async def _refused(self, life: Life, ask: Ask, refused: Refused) -> None:
        """Only what a crash cut short, or another operation holds up, may be refused."""
        if refused.reason in _AGAIN:
            await asyncio.sleep(_AGAIN_S)
            return
        if refused.reason == "SHUTTING_DOWN":
            raise Died
        if refused.reason not in {CUT_SHORT, *self.tolerated}:
            raise Broken(f"{ask.verb} of {life.id} in {life.allowed}: {refused}")
        self.acknowledged += 1
        found = await self._settled(life)
        if found not in life.allowed:
            raise Broken(f"{life.id} is {found!r} after {refused}; it was to be {life.allowed}")
        life.pending, life.state = None, found
        if refused.reason == CUT_SHORT:
            life.answered(Answer(ask, refusal=(refused.code, refused.message)))
        life.over = found == NONE

    async def _settled(self, life: Life) -> str:
        """What the agent shows of it, once nothing is under way."""
        end_s = asyncio.get_running_loop().time() + _SETTLED_S
        while True:
            try:
                reply = await self.rig.ask("Get", api.GetRequest(id=life.id), api.GetResponse)
            except Refused as refused:
                if refused.reason == "SANDBOX_NOT_FOUND":
                    return NONE
                raise
            state = name_of(reply.sandbox)
            # A removal that the store would not take is gone on with until it is done.
            if not reply.sandbox.HasField("operation") and state != "DELETED":
                return state
            if asyncio.get_running_loop().time() > end_s:
                raise Broken(f"{life.id} is not settled within {_SETTLED_S:g} s: {reply.sandbox}")
            await asyncio.sleep(_LOOK_S)


def lasting(reply: Any) -> Any:
    """A reply without what is true of its moment only."""
    if "sandbox" in reply.DESCRIPTOR.fields_by_name:
        reply.sandbox.ClearField("conditions")
    return reply


def name_of(sandbox: api.Sandbox) -> str:
    """Its state, without STATE_."""
    return api.State.Name(sandbox.state).removeprefix("STATE_")


def specs(runtime: str, size: int, template: str = "") -> list[api.Spec]:
    """What so many callers ask for; some have a hook before each pause."""
    return [
        api.Spec(
            runtime=runtime,
            template=template,
            args=_SHELL,
            prestop=[_hook()] if number % 4 == 0 else [],
        )
        for number in range(size)
    ]


def _hook() -> api.HttpHook:
    hook = api.HttpHook()
    hook.CopyFrom(_HOOK)
    hook.timeout.FromSeconds(1)
    return hook
