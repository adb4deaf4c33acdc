"""What the agent says of itself, put together from those who know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from cubelet.core.conditions import Condition
from cubelet.core.node import NodeStatus
from cubelet.engine.fleet import Fleet
from cubelet.engine.rounds import Rounds


def node_status(fleet: Fleet, rounds: Rounds, conditions: Iterable[Condition | None]) -> NodeStatus:
    """Everything from memory; what is None of the conditions does not hold."""
    return NodeStatus(
        conditions=tuple(condition for condition in conditions if condition is not None),
        sandboxes=Counter(record.state for record in fleet.view()),
        unreadable=dict(fleet.unreadable),
        relist_age_s=rounds.age_s,
    )
