"""The test build: the agent as it is shipped, with its crash points armed from the environment.

CUBELET_CRASHPOINTS says what to do at which point (see `grammar`), CUBELET_CRASHPOINTS_REACHED
names a file for the list of those that were reached, CUBELET_TEST_BOOT_ID is taken for the host's
boot id. None of them is left to the shims.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cubelet import app, crashpoints
from cubelet.runtime import answers, launch
from tests.crash.grammar import PointsError, parse
from tests.crash.points import BOOT_ID, POINTS, REACHED, Points


def main() -> None:
    """Arm, and then be `cubelet`."""
    reached = os.environ.pop(REACHED, "")
    try:
        terms = parse(os.environ.pop(POINTS, ""))
    except PointsError as wrong:
        sys.exit(f"{POINTS}: {wrong}")
    if boot_id := os.environ.pop(BOOT_ID, ""):
        _pretend(boot_id)
    crashpoints.arm(Points(terms, Path(reached) if reached else None))
    app.main()


def _pretend(boot_id: str) -> None:
    """Have every part believe that this is another boot of the host."""
    for module, name in ((app, "_boot_id"), (answers, "boot_id"), (launch, "boot_id")):
        setattr(module, name, lambda: boot_id)


if __name__ == "__main__":
    main()
