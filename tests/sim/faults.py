"""The swarm: which of the named fault kinds this run has, how often, and how often each came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from random import Random
from typing import Final

from tests.sim.dice import dice_of

#: Kinds that are asked for at each call, answer, commit or event, with their chance there.
RATES: Final[Mapping[str, float]] = {
    # Calls to the shim: how long they take.
    "call_slow": 0.15,
    "call_near_deadline": 0.10,
    "call_very_slow": 0.05,
    "call_hangs": 0.05,
    "request_late": 0.08,
    # How they end.
    "error_before_effect": 0.08,
    "error_after_effect": 0.08,
    "reply_lost": 0.06,
    "unreachable": 0.05,
    "connection_lost_during": 0.08,
    "connection_lost_after": 0.06,
    "helper_killed_before_effect": 0.06,
    "helper_killed_after_effect": 0.06,
    "failed_pause_says_paused": 0.06,
    "half_resume_says_paused": 0.06,
    "adapter_raises": 0.02,
    "create_slow": 0.10,
    "create_hangs": 0.04,
    "create_fails": 0.06,
    "create_half": 0.05,
    "destroy_slow": 0.15,
    "destroy_fails": 0.10,
    "destroy_hangs": 0.03,
    "heal_fails": 0.20,
    # The question for the status.
    "status_slow": 0.06,
    "status_lost": 0.04,
    "status_unknown": 0.05,
    "status_refused": 0.04,
    "status_raises": 0.02,
    "status_pausing": 0.04,
    "status_other_process": 0.04,
    "status_pid_zero": 0.03,
    "status_lies_paused": 0.02,
    "status_lies_running": 0.02,
    "witness_flickers": 0.04,
    # Events.
    "event_dropped": 0.30,
    "event_twice": 0.20,
    "event_late": 0.20,
    "event_very_late": 0.10,
    "event_flood": 0.03,
    "event_garbage": 0.10,
    "event_exit_of_an_exec": 0.05,
    # The store.
    "store_slow": 0.05,
    "store_very_slow": 0.01,
    "store_busy": 0.02,
    "store_eio": 0.02,
    "load_slow": 0.30,
    # Callers.
    "caller_cancels": 0.10,
    "caller_repeats": 0.15,
    "caller_retries": 0.50,
    "key_other_content": 0.05,
    "stale_precondition": 0.08,
}
#: Stories, which take several steps: how many of each a minute of chaos, where they are on.
STORIES: Final[Mapping[str, float]] = {
    "names_handed_on": 1.0,
    "restored_between_commits": 0.6,
    "changed_while_stream_down": 0.4,
    "answers_overtake": 0.4,
    "record_lost_between_commits": 0.4,
    "store_lost_between_commits": 0.2,
}
#: Kinds that come at planned moments: how many of each a minute of chaos, where they are on.
PER_MINUTE: Final[Mapping[str, float]] = {
    "agent_killed": 0.4,
    "agent_killed_at_step": 0.5,
    "agent_killed_in_recovery": 0.2,
    "power_cut": 0.08,
    "host_reboots": 0.08,
    "store_lost": 0.1,
    "record_damaged": 0.15,
    "agent_stopped": 0.3,
    "agent_closed": 0.2,
    "wall_jump": 0.5,
    "wall_jump_years": 0.2,
    "store_full": 0.2,
    "store_read_only": 0.2,
    "shim_hangs": 0.4,
    "shim_dies": 0.1,
    "sandbox_exits": 0.15,
    "stranger_pauses": 0.4,
    "stranger_resumes": 0.4,
    "stranger_restores": 0.5,
    "stranger_freezes": 0.3,
    "stranger_thaws": 0.3,
    "id_reused": 0.3,
    "stream_breaks": 0.3,
    "storm": 0.15,
    **STORIES,
}
#: Kinds that hold for a whole run.
TRAITS: Final[Mapping[str, float]] = {
    "no_events": 0.25,
    "status_beside_mutex": 0.3,
    "no_generations": 0.25,
}
KINDS: Final = (*RATES, *PER_MINUTE, *TRAITS)

#: Without a generation to compare, a restore that nobody could see cannot be noticed: such runtimes
#: are only safe where nobody else restores, and no call comes after all patience.
_NEED_GENERATIONS: Final = frozenset(
    {
        "stranger_pauses",
        "stranger_resumes",
        "stranger_restores",
        "restored_between_commits",
        "changed_while_stream_down",
        "answers_overtake",
        "call_very_slow",
        "call_hangs",
        "shim_hangs",
        "store_lost",
        "record_damaged",
        "record_lost_between_commits",
        "store_lost_between_commits",
    }
)


class Swarm:
    """One run's faults. After `calm` none fires any more."""

    def __init__(self, rng: Random, *, without: Iterable[str] = ()) -> None:
        density = rng.choice((0.1, 0.25, 0.45, 0.7))
        self.on: dict[str, float] = {}
        self.counts: Counter[str] = Counter()
        self.over = False
        for name, rate in RATES.items():
            self._draw(rng, name, density, rate)
        for name, rate in PER_MINUTE.items():
            self._draw(rng, name, density, rate)
        for name, chance in TRAITS.items():
            self._draw(rng, name, chance, 1.0)
        if "no_generations" in self.on:
            without = {*without, *_NEED_GENERATIONS}
        for name in without:
            self.on.pop(name, None)
        self._streams: dict[str, Random] = {}
        self._seed = rng.getrandbits(64)

    def fires(self, name: str) -> bool:
        """Whether this fault comes now; each kind has its own dice, so that one can be left out."""
        rate = self.on.get(name)
        if rate is None or self.over or self.stream(name).random() >= rate:
            return False
        self.counts[name] += 1
        return True

    def first(self, *names: str) -> str:
        """The first of these that comes now, "" for none."""
        return next((name for name in names if self.fires(name)), "")

    def has(self, trait: str) -> bool:
        """Whether the run has this trait; counted once."""
        if trait not in self.on:
            return False
        self.counts[trait] = 1
        return True

    def came(self, name: str) -> None:
        """Count a fault that came at its planned moment."""
        self.counts[name] += 1

    def calm(self) -> None:
        """From here on all is well."""
        self.over = True

    def stream(self, name: str) -> Random:
        """The dice of one kind of fault."""
        found = self._streams.get(name)
        if found is None:
            found = self._streams[name] = dice_of(f"{self._seed}/{name}")
        return found

    def _draw(self, rng: Random, name: str, chance: float, rate: float) -> None:
        on, scale = rng.random() < chance, rng.choice((0.3, 1.0, 1.0, 3.0))
        if on:
            self.on[name] = min(0.9, rate * scale) if rate < 1.0 else rate
