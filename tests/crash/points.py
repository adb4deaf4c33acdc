"""What is done at each crash point that is reached, and the list of those that were."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from tests.crash.grammar import Action, Term

#: The variables that the test build reads.
POINTS = "CUBELET_CRASHPOINTS"
REACHED = "CUBELET_CRASHPOINTS_REACHED"
LATER = "CUBELET_CRASHPOINTS_LATER"
BOOT_ID = "CUBELET_TEST_BOOT_ID"
FORGETFUL = "CUBELET_TEST_FORGETFUL"


class Points:
    """The handler for `crashpoints.arm`. Points are reached by several threads."""

    def __init__(self, terms: Mapping[str, tuple[Term, ...]], reached: Path | None = None) -> None:
        """Make it; each name goes to the file `reached` the first time, before anything is done."""
        self._left = {name: _unrolled(each) for name, each in terms.items()}
        self._reached = reached
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, name: str) -> None:
        """Do what is to be done at this point, this time."""
        with self._lock:
            if name not in self._seen:
                self._seen.add(name)
                self._note(name)
            term = self._next(name)
        match term.action:
            case Action.OFF:
                pass
            case Action.DELAY:
                time.sleep(term.delay_s)
            case Action.ERROR:
                raise OSError(errno.EIO, "an armed crash point", name)
            case Action.IOERR:
                failure = sqlite3.OperationalError(f"an armed crash point: {name}")
                failure.sqlite_errorcode = sqlite3.SQLITE_IOERR
                raise failure
            case Action.KILL:
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()  # Of a thread that is not the first one, until the end has come.

    def _next(self, name: str) -> Term:
        left = self._left.get(name)
        if not left:
            return Term(Action.OFF)
        term, times = left[0]
        if times is not None:
            left[0] = (term, times - 1)
            if times == 1:
                del left[0]
        return term

    def _note(self, name: str) -> None:
        """In one write, so that it is there whatever comes next."""
        if self._reached is not None:
            with self._reached.open("ab", buffering=0) as file:
                file.write(f"{name}\n".encode())


def _unrolled(terms: tuple[Term, ...]) -> list[tuple[Term, int | None]]:
    return [(term, term.count) for term in terms]
