"""What is planned to happen in a run, and when: requests of callers, and blows of fate.

Each act has dice of its own, so that leaving one out changes none of the others: that is how a
failing run is cut down to what matters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Final

from cubelet.core.policy import Policy
from tests.sim.dice import dice_of
from tests.sim.faults import PER_MINUTE, Swarm

REQUESTS: Final = {
    "toggle": 40,
    "pause": 8,
    "resume": 8,
    "commit": 14,
    "rollback": 5,
    "delete": 3,
    "create": 6,
    "get": 5,
    "list": 2,
    "reconcile": 3,
    "forecast": 1,
    "repair": 3,
    "explain": 1,
    "journal": 1,
}
_CROWDS = ((1, 40), (2, 20), (3, 12), (5, 13), (9, 10), (16, 4), (32, 1))


@dataclass(frozen=True, slots=True)
class Act:
    """Something that happens to, or is asked of, the sandbox of this number."""

    number: int
    at_s: float
    what: str
    slot: int
    seed: int
    #: What a commit is to be called; "" leaves it to chance.
    name: str = ""


@dataclass(frozen=True, slots=True)
class Script:
    """One run's plan. `freezers`: by slot, whether it runs on the freezer runtime."""

    slots: int
    chaos_s: float
    freezers: tuple[bool, ...]
    policy: Policy
    acts: tuple[Act, ...]


def write(rng: Random, swarm: Swarm) -> Script:
    """Draw a plan."""
    slots = rng.choices(*zip(*_CROWDS, strict=True))[0]
    chaos_s = rng.uniform(60, 300) if slots < 9 else rng.uniform(40, 120)
    kind = rng.random()
    freezers = tuple(rng.random() < 0.5 if kind < 0.3 else kind < 0.65 for _ in range(slots))
    policy = Policy(dead_ttl_s=rng.choice((15.0, 60.0, 3600.0)))
    drawn = [(rng.uniform(0, 2), "create", slot) for slot in range(slots)]
    pause_s = rng.choice((4.0, 10.0, 25.0)) * max(1.0, slots / 6)
    for slot in range(slots):
        at_s = rng.uniform(1, 4)
        while at_s < chaos_s:
            what = rng.choices(tuple(REQUESTS), tuple(REQUESTS.values()))[0]
            drawn.append((at_s, what, slot))
            at_s += rng.expovariate(1 / pause_s)
    for name in PER_MINUTE:
        drawn.extend(_blows(rng, name, swarm, chaos_s=chaos_s, slots=slots))
    drawn.sort()
    acts = tuple(
        Act(number, at_s, what, slot, rng.getrandbits(48))
        for number, (at_s, what, slot) in enumerate(drawn)
    )
    return Script(slots, chaos_s, freezers, policy, acts)


def without(script: Script, numbers: frozenset[int]) -> Script:
    """The script with these acts left out."""
    kept = tuple(act for act in script.acts if act.number not in numbers)
    return replace(script, acts=kept)


def _blows(
    rng: Random, name: str, swarm: Swarm, *, chaos_s: float, slots: int
) -> list[tuple[float, str, int]]:
    """The moments of one planned kind of fault, if the run has it."""
    dice = dice_of(rng.getrandbits(48))
    rate = swarm.on.get(name)
    if rate is None:
        return []
    blows: list[tuple[float, str, int]] = []
    at_s = dice.expovariate(rate / 60)
    while at_s < chaos_s and len(blows) < 20:
        blows.append((at_s, name, dice.randrange(slots)))
        at_s += dice.expovariate(rate / 60)
    return blows
