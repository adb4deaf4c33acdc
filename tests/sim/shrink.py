"""A failing run, cut down to what is needed for the same promise to break."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.sim.faults import RATES
from tests.sim.runner import Options, Result, run

#: Enough for most; what is left then is still true.
RUNS_MAX = 250


@dataclass(slots=True)
class Shrunk:
    """The smallest run found: how to play it, what it showed, and what it took."""

    options: Options
    result: Result
    runs: int


def shrink(seed: int, *, runs_max: int = RUNS_MAX) -> Shrunk:
    """Switch faults off and leave acts out for as long as the same promise breaks."""
    first = run(seed)
    assert first.violations, f"seed {seed} breaks nothing"
    shrinker = _Shrinker(seed, first, runs_max)
    shrinker.without_faults()
    shrinker.without_acts()
    shrinker.without_faults()
    return shrinker.best()


def promise_of(violation: str) -> str:
    """What a violation is about: its first word."""
    return violation.split(" ", 1)[0]


class _Shrinker:
    def __init__(self, seed: int, first: Result, runs_max: int) -> None:
        self._seed = seed
        self._promise = promise_of(first.violations[0])
        self._left = runs_max
        self._runs_max = runs_max
        self._options = Options()
        self._last = first

    def without_faults(self) -> None:
        """One kind after the other."""
        for name in [name for name in self._last.faults if name in RATES]:
            self._try(replace(self._options, without=self._options.without | {name}))

    def without_acts(self) -> None:
        """In halves, quarters, … down to single ones."""
        size = max(1, self._last.acts // 2)
        while True:
            kept = [n for n in range(self._last.acts) if n not in self._options.cut]
            for at in range(0, len(kept), size):
                cut = self._options.cut | set(kept[at : at + size])
                self._try(replace(self._options, cut=cut))
            if size == 1 or self._left <= 0:
                return
            size = max(1, size // 2)

    def best(self) -> Shrunk:
        """With its trace."""
        options = replace(self._options, keep_trace=True)
        return Shrunk(options, run(self._seed, options), self._runs_max - self._left)

    def _try(self, options: Options) -> None:
        if self._left <= 0:
            return
        self._left -= 1
        result = run(self._seed, options)
        if result.violations and promise_of(result.violations[0]) == self._promise:
            self._options = options
