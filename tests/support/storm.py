"""Many requests at once, mixed at random, each repeated until its answer is final."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from shimclient.errors import Code, StatusError
from tests.support.crowd import Crowd

#: What a caller tries again: the agent has too much to do, or something else with this sandbox.
_AGAIN = frozenset({Code.RESOURCE_EXHAUSTED, Code.ABORTED})
_WEIGHTS = {"pause": 40, "resume": 40, "get": 17, "delete": 3}
_FIRST_WAIT_S = 0.05
_LONGEST_WAIT_S = 2.0


@dataclass
class Outcome:
    """What came of a storm: ends by verb, repeats by the code that caused them, what is wrong."""

    done: Counter[str] = field(default_factory=Counter)
    again: Counter[int] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


async def storm(crowd: Crowd, ids: Sequence[str], *, each: int, seed: int) -> Outcome:
    """Send `each` requests to every sandbox, all at once, and wait until all have ended."""
    dice = random.Random(seed)  # noqa: S311 - the same seed gives the same requests.
    plans = {
        name: dice.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values()), k=each) for name in ids
    }
    outcome = Outcome()
    await asyncio.gather(
        *(
            _one(crowd, name, verb, outcome, dice, deleted="delete" in plan)
            for name, plan in plans.items()
            for verb in plan
        )
    )
    return outcome


async def _one(
    crowd: Crowd, name: str, verb: str, outcome: Outcome, dice: random.Random, *, deleted: bool
) -> None:
    act: Callable[[str], Awaitable[None]] = getattr(crowd, verb)
    longest_s = _FIRST_WAIT_S
    while True:
        try:
            await act(name)
        except StatusError as refused:
            if refused.code in _AGAIN:
                outcome.again[refused.code] += 1
                await asyncio.sleep(dice.uniform(0, longest_s))
                longest_s = min(2 * longest_s, _LONGEST_WAIT_S)
                continue
            # It is paused, or runs, already; or somebody has deleted it.
            fair = refused.code == Code.FAILED_PRECONDITION or (
                deleted and refused.code == Code.NOT_FOUND
            )
            if not fair:
                outcome.violations.append(f"{verb} of {name}: {refused.code} {refused}")
        outcome.done[verb] += 1
        return
