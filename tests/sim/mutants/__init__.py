"""Faults that are planted into the shipped agent, to show that the simulator finds such ones.

One file for each part of the agent. Each mutant replaces a function, a constant or a row of a table
for as long as a context lasts; nothing in the agent itself can switch one on. Each has to be found
by `scripts/sim --mutants`: one that is not is a hole in the simulator, to be closed there.
"""

from tests.sim.mutants import (
    agent,
    bindings,
    bookkeeping,
    deadlines,
    endings,
    evidence,
    health,
    looking,
    rebuild,
    requests,
    settling,
    times,
)
from tests.sim.mutants.base import MUTANTS, Mutant
from tests.sim.mutants.places import BINDING_ROWS, INVARIANTS, RACES, SKIPPED

PARTS = (
    agent,
    bindings,
    bookkeeping,
    deadlines,
    endings,
    evidence,
    health,
    looking,
    rebuild,
    requests,
    settling,
    times,
)

__all__ = ["BINDING_ROWS", "INVARIANTS", "MUTANTS", "PARTS", "RACES", "SKIPPED", "Mutant"]
