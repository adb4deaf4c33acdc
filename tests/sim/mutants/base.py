"""What a planted fault is, and how one is written down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, cast
from unittest.mock import patch

from cubelet.core import edges


@dataclass(frozen=True, slots=True)
class Change:
    """While a mutant is planted, `owner.name` is `value`; it must exist, and be another."""

    owner: Any
    name: str
    value: Any

    @property
    def target(self) -> str:
        """Where it is, for people."""
        return f"{getattr(self.owner, '__qualname__', self.owner.__name__)}.{self.name}"

    @property
    def differs(self) -> bool:
        """Whether there is something to change, and it is changed."""
        return hasattr(self.owner, self.name) and getattr(self.owner, self.name) != self.value

    def current(self) -> Any:
        """What is there now."""
        return getattr(self.owner, self.name)

    def planted(self) -> AbstractContextManager[object]:
        """Until the end of the context."""
        return patch.object(self.owner, self.name, self.value)


@dataclass(frozen=True, slots=True)
class Rows:
    """While a mutant is planted, a table of the core has these rows."""

    table: Mapping[Any, Any]
    rows: Mapping[Any, Any]

    @property
    def target(self) -> str:
        """Where it is, for people."""
        return ", ".join(str(row) for row in self.rows)

    @property
    def differs(self) -> bool:
        """Whether one of the rows says something else than now."""
        return any(self.table.get(key) != value for key, value in self.rows.items())

    def current(self) -> Any:
        """What is there now."""
        return {row: self.table.get(row) for row in self.rows}

    def planted(self) -> AbstractContextManager[object]:
        """Until the end of the context."""
        return patch.dict(cast("MutableMapping[Any, Any]", self.table), self.rows)


def unchecked() -> Change:
    """The last defence is down: a change of state is not checked against the table of edges."""
    return Change(edges, "_check", lambda *_: None)


Plan = Callable[[], tuple[Change | Rows, ...]]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault that the simulator must find.

    `breaks` names the races (R), invariants (I) and rows of the binding table (B) that it puts
    back; `what` is one sentence about the fault.
    """

    name: str
    breaks: tuple[str, ...]
    what: str
    changes: Plan

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The agent has this fault until the end of the context, in this process only."""
        with ExitStack() as stack:
            for change in self.changes():
                stack.enter_context(change.planted())
            yield


#: All of them by name, in the order of their writing.
MUTANTS: dict[str, Mutant] = {}


def mutant(*breaks: str) -> Callable[[Plan], Plan]:
    """Register a function that gives the changes; its docstring says what is wrong."""

    def register(plan: Plan) -> Plan:
        name = plan.__name__.replace("_", "-")
        assert name not in MUTANTS, f"two mutants are called {name}"
        MUTANTS[name] = Mutant(name, breaks, (plan.__doc__ or "").strip(), plan)
        return plan

    return register
