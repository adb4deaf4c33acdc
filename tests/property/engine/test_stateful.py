"""Any order of requests, failures, silence, lies, strangers, crashes: the promises hold.

In virtual time, over toy shims. Examples are drawn from a fixed seed, so a run says the same again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cubelet.core.evidence import Contradicted, Evidence, NoAnswer, Status
from tests.property.engine.machine import FULL, NAMES, PLANS, World
from tests.support.virtual_time import VirtualLoop

names = st.sampled_from(NAMES)
LIES: dict[str, Evidence] = {
    "UNKNOWN": NoAnswer(why="UNKNOWN"),
    "RUNNING, frozen": Contradicted(says=Status.RUNNING, frozen=True, pid=2),
    "PAUSED, not frozen": Contradicted(says=Status.PAUSED, frozen=False, pid=2),
}


class EngineMachine(RuleBasedStateMachine):
    """Each rule is a little of the world's time; `teardown` calms it and demands the truth."""

    def __init__(self) -> None:
        super().__init__()
        self.logs = structlog.testing.capture_logs()
        self.logs.__enter__()
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.world = World()

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        self.runner.run(work)

    @initialize()
    def start(self) -> None:
        self.do(self.world.begin())
        for name in NAMES:
            self.do(self.world.ask("create", name, "works", keyed=False))

    @rule(
        verb=st.sampled_from(["pause", "resume", "commit", "rollback", "create"]),
        name=names,
        plan=st.sampled_from(sorted(PLANS)),
        keyed=st.booleans(),
    )
    def ask(self, verb: str, name: str, plan: str, *, keyed: bool) -> None:
        self.do(self.world.ask(verb, name, plan, keyed=keyed))

    @rule(verb=st.sampled_from(["pause", "resume", "commit"]), name=names)
    def ask_of_a_good_shim(self, verb: str, name: str) -> None:
        self.do(self.world.ask(verb, name, "works", keyed=False))

    @rule(verb=st.sampled_from(["get", "delete", "repair"]), name=names)
    def ask_without_a_plan(self, verb: str, name: str) -> None:
        self.do(self.world.ask(verb, name, "works", keyed=False))

    @rule(name=names)
    def hint(self, name: str) -> None:
        async def hint() -> None:
            self.world.engine.hint(name)

        self.do(hint())

    @rule()
    def relist(self) -> None:
        async def relist() -> None:
            self.world.engine.relist("a test")

        self.do(relist())

    @rule(name=names, silent=st.booleans())
    def hang(self, name: str, *, silent: bool) -> None:
        async def hang() -> None:
            toy = self.world.rack.toys[name]
            toy.silent = True
            if not silent:
                toy.awakes()

        self.do(hang())

    @rule(name=names, lie=st.sampled_from(["", *LIES]))
    def lie(self, name: str, lie: str) -> None:
        self.world.rack.toys[name].evidence = LIES.get(lie)

    @rule(name=names, status=st.sampled_from([Status.RUNNING, Status.PAUSED]))
    def stranger(self, name: str, status: Status) -> None:
        self.do(self.world.stranger(name, status))

    @rule(full=st.booleans())
    def disk(self, *, full: bool) -> None:
        self.world.tube.store.refuse = lambda _: FULL if full else None

    @rule(seconds=st.sampled_from([0.01, 0.3, 5, 11, 31, 65]))
    def wait(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))

    @rule()
    def crash(self) -> None:
        self.do(self.world.crash())

    @invariant()
    def promises(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        try:
            self.do(self.world.calm())
            self.world.check()
            self.do(self.world.end())
        finally:
            self.runner.close()
            self.logs.__exit__(None, None, None)


EngineMachine.TestCase.settings = settings(
    max_examples=100, stateful_step_count=30, derandomize=True, deadline=None
)
TestEngine = EngineMachine.TestCase
