"""The fake shim's command line: a shim v2 binary, and ``serve`` for one that stands alone."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

from shimclient.fake.service import FakeService
from shimclient.fake.vm import signal_status
from shimclient.skeleton.flags import Flags
from shimclient.skeleton.main import main
from shimclient.skeleton.processes import kill_process
from shimclient.skeleton.serve import STATE_FILE_NAME, Program
from shimclient.skeleton.statefile import StateFile
from shimclient.task import Exit

_KILLED: Final = signal_status(9)


def cleanup(flags: Flags, bundle: Path) -> Exit:
    """Kill what a dead shim has left of the task, and say how it ended."""
    state = StateFile(bundle / STATE_FILE_NAME).load() or {}
    for saved in state.get("tasks", []):
        if saved["id"] == flags.id:
            if saved["exit"] is not None:
                return Exit(*saved["exit"])
            kill_process(saved["pid"], saved["started_ticks"])
            return Exit(saved["pid"], _KILLED, time.time_ns())
    return Exit(0, _KILLED, time.time_ns())


PROGRAM: Final = Program(
    name="fake",
    summary=(
        "A shim with a simulated VM that fails on demand. It reads its script from fake.json or\n"
        "fake.toml in the bundle, from SHIM_FAKE_SCRIPT (JSON), and from the annotation\n"
        'shimclient.fake/script of config.json: {"times": {"pause": "50ms"},\n'
        '"failpoints": "pause=2*off->1*late(31s)->hang;events=1*drop"}.'
    ),
    service=FakeService,
    cleanup=cleanup,
)

if __name__ == "__main__":
    sys.exit(main(PROGRAM))
