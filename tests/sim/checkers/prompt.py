"""I1 the usual case, I11 new answers only: a call that is over settles soon, by what is true since.

The bound of an overdue operation is far wider (`stuck`), so that a settle loop that does nothing
would hide behind the sweeper.
"""

from __future__ import annotations

from collections.abc import Sequence

from cubelet.core.model import OpKind, Record, State
from cubelet.engine.ports import Change
from tests.sim.calls import ShimCall
from tests.sim.checkers.base import (
    SLACK_S,
    T_QUERY_S,
    T_SETTLE_S,
    Checker,
    Facts,
)
from tests.sim.shim import Shim

#: The longest pause between two looks.
_PAUSE_S = 10.0
#: A look, a second one that is T_settle apart, and the one after where that was a moment too early.
PROMPT_S = 2 * _PAUSE_S + T_SETTLE_S + T_QUERY_S + SLACK_S
_BACK = {OpKind.PAUSE: State.RUNNING, OpKind.RESUME: State.PAUSED}


class Prompt(Checker):
    """Knows when the agent saw each call end."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._calls: dict[tuple[str, int], ShimCall] = {}
        self._seen: dict[tuple[str, int], float] = {}

    def calling(self, record: Record, kind: str, call: ShimCall | None) -> None:
        if call is not None:
            self._calls[record.incarnation, record.epoch] = call

    def called(self, record: Record, call: ShimCall) -> None:
        self._seen[record.incarnation, record.epoch] = self.world.now_s

    def sampled(self, view: Sequence[Record]) -> None:
        for record in view:
            call = self._calls.get((record.incarnation, record.epoch))
            shim = self.facts.shim(record)
            if record.open is None or record.state is State.DELETED or call is None or shim is None:
                continue
            if not shim.busy and not shim.split and call.over:
                self._check_settled(record, call, shim)

    def written(self, before: Record | None, change: Change) -> None:
        after = change.record
        op = before.open if before is not None else None
        if before is None or after is None or op is None or after.open is not None:
            return
        call = self._calls.get((before.incarnation, before.epoch))
        shim = self.facts.shim(after)
        if after.state is _BACK.get(op.kind) and call is not None and shim is not None:
            self._check_newer(after, call, shim)

    def _check_settled(self, record: Record, call: ShimCall, shim: Shim) -> None:
        seen_s = self._seen.get((record.incarnation, record.epoch))
        if seen_s is None and call.life == self.world.loop.life:
            return
        fair_s = max(self.facts.settled_since_s(shim), seen_s or 0.0, shim.split_end_s)
        if self.world.now_s > fair_s + PROMPT_S:
            self.fail(
                f"I1 {record.id}: its {call.kind} is over for {self.world.now_s - fair_s:.1f} s,"
                " with a shim that can be asked, and not settled"
            )

    def _check_newer(self, after: Record, call: ShimCall, shim: Shim) -> None:
        """What the shim has answered is over there: only what is true since then says what is."""
        if call.seen != "failed ANSWERED" or call.over_s is None or shim.split:
            return
        if call.life != self.world.loop.life:
            return  # Its answer came to an agent that was not there any more.
        if max(shim.lied_at_s, shim.split_end_s) >= call.began_s:
            return
        if not shim.was(after.state, call.over_s):
            self.fail(
                f"I11 {after.id}: its failed {call.kind} was settled as {after.state}, which it"
                " never was since"
            )
