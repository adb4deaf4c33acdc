"""The test build: the agent as it is shipped, with its crash points armed from the environment.

CUBELET_CRASHPOINTS says what to do at which point (see `grammar`), CUBELET_CRASHPOINTS_REACHED
names a file for the list of those that were reached. At SIGUSR1 the file that
CUBELET_CRASHPOINTS_LATER names says anew what to do. CUBELET_TEST_BOOT_ID is taken for the host's
boot id, and with CUBELET_TEST_FORGETFUL the store is cleaned every moment, down to a few rows. None
of them is left to the shims.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path

from cubelet import app, crashpoints
from cubelet.engine import health
from cubelet.runtime import answers, launch
from cubelet.store.limits import Keep, Limits
from cubelet.store.sqlite import SqliteStore
from tests.crash.grammar import PointsError, parse
from tests.crash.points import BOOT_ID, FORGETFUL, LATER, POINTS, REACHED, Points

_KEPT_ROWS = 30
_CLEAN_EACH_S = 0.2


def main() -> None:
    """Arm, and then be `cubelet`."""
    reached = os.environ.pop(REACHED, "")
    note = Path(reached) if reached else None
    try:
        crashpoints.arm(Points(parse(os.environ.pop(POINTS, "")), note))
    except PointsError as wrong:
        sys.exit(f"{POINTS}: {wrong}")
    if later := os.environ.pop(LATER, ""):
        signal.signal(signal.SIGUSR1, lambda *_: _arm_anew(Path(later), note))
    if boot_id := os.environ.pop(BOOT_ID, ""):
        _pretend(boot_id)
    if os.environ.pop(FORGETFUL, ""):
        _forget_soon()
    app.main()


def _arm_anew(later: Path, note: Path | None) -> None:
    """Arm what the file says, and take it away as a sign of that."""
    crashpoints.arm(Points(parse(later.read_text()), note))
    later.unlink()


def _forget_soon() -> None:
    """Have the store keep the newest lines only."""
    few = Keep(newest=_KEPT_ROWS, age_s=0, most=_KEPT_ROWS)
    health.RETAIN_S = health.PROBE_S = _CLEAN_EACH_S
    small = partial(SqliteStore.open, limits=Limits(journal=few, outcomes=few))
    setattr(SqliteStore, "open", staticmethod(small))  # noqa: B010 - mypy lets no method be replaced.


def _pretend(boot_id: str) -> None:
    """Have every part believe that this is another boot of the host."""
    for module, name in ((app, "_boot_id"), (answers, "boot_id"), (launch, "boot_id")):
        setattr(module, name, lambda: boot_id)


if __name__ == "__main__":
    main()
