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


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """What one sandbox left that no record owns; or a snapshot that no catalog has."""

    #: Empty for a snapshot.
    sandbox_id: str
    #: The one that made it, as far as that can be told.
    runtime: str
    #: Each thing that was found, for people; what lives comes first.
    found: tuple[str, ...]
    removed: bool = False
    #: Why it was not removed, where that was asked for.
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What a look over the host found, and what was done about it."""

    orphans: tuple[Orphan, ...]
    #: How many more there are than are told of, and were touched.
    more: int = 0
