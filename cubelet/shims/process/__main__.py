"""The shim binary: ``python -m cubelet.shims.process ... start|delete|serve``."""

from __future__ import annotations

import sys
from typing import Final

from cubelet.shims.process.cleanup import cleanup
from cubelet.shims.process.service import ProcessService
from shimclient.skeleton.main import main
from shimclient.skeleton.serve import Program

PROGRAM: Final = Program(
    name="process",
    summary="A sandbox that is a process tree on this host.",
    service=ProcessService,
    cleanup=cleanup,
)

if __name__ == "__main__":
    sys.exit(main(PROGRAM))
