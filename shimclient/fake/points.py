"""Failpoints at run time: which action comes next at a point, and how often each has fired."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from shimclient.fake.actions import Action, Off, Points, Term
from shimclient.fake.failpoints import format_failpoints


class LivePoints:
    """The terms that are left at each point."""

    def __init__(self, points: Points) -> None:
        self._left: dict[str, tuple[Term, ...]] = dict(points)
        #: How often each point has fired; "off" does not count.
        self.fired: Counter[str] = Counter()

    def update(self, points: Points) -> None:
        """Replace the terms of the points that are named."""
        self._left.update(points)

    def next(self, point: str) -> Action:
        """Use up one step of the point; Off where nothing is left of it."""
        action, self._left[point] = _step(self._left.get(point, ()))
        if not isinstance(action, Off):
            self.fired[point] += 1
        return action

    def text(self) -> str:
        """What is left, in the grammar."""
        return format_failpoints(self._left)


def _step(terms: tuple[Term, ...]) -> tuple[Action, tuple[Term, ...]]:
    """The action of the first term, and the terms that are left after it."""
    if not terms:
        return Off(), ()
    first, *rest = terms
    if first.count is None:
        return first.action, terms
    return first.action, tuple(_used_once(first)) + tuple(rest)


def _used_once(term: Term) -> Iterable[Term]:
    if term.count is not None and term.count > 1:
        yield replace(term, count=term.count - 1)
