"""Planted faults in how the agent looks after its store."""

from __future__ import annotations

from cubelet.engine import health
from cubelet.engine.health import Health
from cubelet.engine.ports import Store, StoreFailed
from tests.sim.mutants.base import Change, mutant


@mutant("I23")
def refusal_not_shown() -> tuple[Change, ...]:
    """A store that refuses changes is counted, and counts as a good one."""

    def lax(self: Health, failure: StoreFailed, *, changes: int) -> None:
        self.failed(failure)

    return (Change(Health, "refused", lax),)


@mutant("I23")
def degraded_until_restarted() -> tuple[Change, ...]:
    """Nobody tries whether a store that refused takes changes again."""

    async def lax(self: Health, store: Store, *args: object) -> None:
        return

    return (Change(Health, "_try", lax),)


@mutant("I23")
def store_seldom_tried() -> tuple[Change, ...]:
    """A store that refused is tried once in half a minute."""
    return (Change(health, "PROBE_S", 30.0),)


@mutant("I23")
def believed_at_once() -> tuple[Change, ...]:
    """One small thing that fits makes a store count as good, in the midst of its refusals."""
    real = Health._try

    async def lax(self: Health, store: Store, trouble: object, refusals: int) -> None:
        await real(self, store, trouble, self._refusals)  # type: ignore[arg-type]

    return (Change(Health, "_try", lax),)
