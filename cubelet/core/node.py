"""How the agent fares as a whole, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cubelet.core.conditions import Condition
from cubelet.core.model import State


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """What is remarkable about the node, and how much there is on it."""

    conditions: tuple[Condition, ...]
    #: How many there are in each state; one without a sandbox is left out.
    sandboxes: Mapping[State, int]
    #: Why a record cannot be read, by its id.
    unreadable: Mapping[str, str]
    #: How long ago every sandbox had been asked.
    relist_age_s: float
