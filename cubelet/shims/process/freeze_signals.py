"""Standing still by SIGSTOP: for everybody, without a cgroup.

Stopping a tree is a race against its forks, so it goes in rounds, and each round is decided by one
pure function over two looks at the tree. A parent stands still before its children are stopped, and
goes on after them: no shell that waits for its jobs ever sees one of them stopped.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cubelet.shims.process.errors import FreezeFailed
from cubelet.shims.process.identity import Identity, send
from cubelet.shims.process.tree import Walk, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

FREEZE_S_MAX: Final = 10.0
ROUNDS_MAX: Final = 2000
#: A tree that grows down faster than this many rounds descend is stopped without regard to order.
COURTEOUS_ROUNDS_MAX: Final = 40
_DELAY_S_FIRST: Final = 0.0002
_DELAY_S_MAX: Final = 0.02


@dataclass(frozen=True, slots=True)
class Round:
    """What to do after a look at the tree."""

    #: All stand still, and two looks in a row say so.
    settled: bool
    #: To be stopped, parents first.
    stop: tuple[Identity, ...]
    #: Stopped by us, but to be let go for a moment.
    release: tuple[Identity, ...]
    #: Those that do not stand still yet.
    loose: tuple[Identity, ...]
    #: Whether a process is there that the look before did not show.
    grew: bool


def plan_round(
    now: Walk, *, before: Walk | None, ours: Collection[Identity], courteous: bool
) -> Round:
    """Decide one round.

    Settled means two looks in a row with everything stopped and nobody new, dead or alive. Then
    nobody was missed: a process that was missed either still runs as some stopped one's child, and
    the second look lists it, or has left a corpse, a child or a new orphan, each of which is new.

    A courteous round leaves alone whose parent does not stand still yet. In every round a process
    whose parent is blocked is left alone, and let go if we had stopped it: a parent in vfork(2)
    cannot be stopped until its child has executed something, so to stop both is a deadlock.
    """
    loose = tuple(process.identity for process in now.living if not process.stopped)
    blocked = {process.identity for process in now.living if process.blocked}
    waited_for = {process.identity for process in now.living if process.parent in blocked}
    after_parent = {process.identity for process in now.living if process.parent in set(loose)}
    spared = after_parent if courteous else waited_for
    grew = before is None or not now.identities <= before.identities
    return Round(
        settled=before is not None and before.still and now.still and not grew,
        stop=tuple(identity for identity in loose if identity not in spared),
        release=tuple(
            process.identity
            for process in now.living
            if process.stopped and process.identity in waited_for and process.identity in ours
        ),
        loose=loose,
        grew=grew,
    )


class SignalFreezer:
    """Stops all descendants of `root`, and continues those that it stopped itself."""

    name: Final = "signals"
    groups: Final = ()

    def __init__(self, root: int, *, look: Callable[[int], Walk] = walk) -> None:
        self._root = root
        self._look = look
        self._ours: set[Identity] = set()

    async def freeze(self) -> None:
        """Return when every thread of every process stands still.

        Raises FreezeFailed, with all let go again, where that was not reached in ROUNDS_MAX rounds
        or FREEZE_S_MAX seconds.
        """
        try:
            await self._freeze()
        except BaseException:
            await self.thaw()
            raise

    async def _freeze(self) -> None:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + FREEZE_S_MAX
        before: Walk | None = None
        delay_s = _DELAY_S_FIRST
        loose: tuple[Identity, ...] = ()
        for number in range(ROUNDS_MAX):
            now = self._look(self._root)
            courteous = number < COURTEOUS_ROUNDS_MAX
            plan = plan_round(now, before=before, ours=self._ours, courteous=courteous)
            if plan.settled:
                return
            descends = not self._ours.issuperset(plan.stop)
            self._carry_out(plan)
            before, loose = now, plan.loose
            if loop.time() >= give_up_at:
                break
            # Only what is on its way to a stop is waited for: new processes are chased at once.
            delay_s = _DELAY_S_FIRST if descends else min(delay_s * 2, _DELAY_S_MAX)
            await asyncio.sleep(0.0 if plan.grew or not plan.loose else delay_s)
        raise FreezeFailed(_complaint(loose))

    def _carry_out(self, plan: Round) -> None:
        for identity in plan.release:
            send(identity, signal.SIGCONT)
            self._ours.discard(identity)
        for identity in plan.stop:
            try:
                if send(identity, signal.SIGSTOP):
                    self._ours.add(identity)
            except PermissionError:
                raise FreezeFailed(
                    f"process {identity.pid} was not stopped: it runs as another user"
                ) from None

    async def thaw(self) -> None:
        """Continue what we stopped, children first; what had stopped itself stays stopped."""
        order = [process.identity for process in reversed(self._look(self._root).processes)]
        for identity in order:
            if identity in self._ours:
                send(identity, signal.SIGCONT)
        self._ours.clear()

    async def remove(self) -> None:
        """Nothing of it outlives the tree."""


def _complaint(loose: tuple[Identity, ...]) -> str:
    if not loose:
        return f"the tree kept changing for {FREEZE_S_MAX:g} s or {ROUNDS_MAX} rounds"
    others = f" and {len(loose) - 1} more" if len(loose) > 1 else ""
    return f"process {loose[0].pid}{others} was not stopped within {FREEZE_S_MAX:g} s"
