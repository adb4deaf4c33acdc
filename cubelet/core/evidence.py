"""What a runtime can say when it is asked for a sandbox's status: alive, ended, gone, or nothing.

The last is not a state. A time-out, a lost connection, a status of UNKNOWN: all are NoAnswer, and
no rule ends a sandbox because of it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import assert_never


class Status(enum.StrEnum):
    """The living states that a shim can report."""

    CREATED = "CREATED"
    RUNNING = "RUNNING"
    PAUSING = "PAUSING"
    PAUSED = "PAUSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """The shim answered and the task lives. `pid` is its init process.

    `start_ticks` is when that process began, 0: not known. `generation` counts the runtime's
    restores of this sandbox, None: it does not count them.
    """

    status: Status
    pid: int
    start_ticks: int = 0
    generation: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradicted:
    """The shim answered, and the second witness (the kernel's freezer, the VMM) says otherwise.

    Neither is believed. It proves that the sandbox lives, and nothing else.
    """

    says: Status
    frozen: bool
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The shim answered that the init process has exited. Stamp in wall nanoseconds, 0: unknown."""

    exit_code: int
    finished_at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """Positive evidence of the end without an exit code: shim *and* process identity are gone."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer:
    """Nobody could be asked, or the answer said nothing. Proves nothing."""

    why: str


Evidence = Alive | Contradicted | Ended | Gone | NoAnswer


def describe(evidence: Evidence) -> str:
    """One line for people and for the journal."""
    match evidence:
        case Alive(status=status, pid=pid):
            return f"shim says {status} (pid {pid})"
        case Contradicted(says=says, frozen=frozen):
            return f"shim says {says}, but it is {'frozen' if frozen else 'not frozen'}"
        case Ended(exit_code=exit_code):
            return f"shim says STOPPED (exit code {exit_code})"
        case Gone(why=why):
            return f"gone: {why}"
        case NoAnswer(why=why):
            return f"no answer: {why}"
        case _ as unreachable:
            assert_never(unreachable)
