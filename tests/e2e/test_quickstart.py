"""The main job on this machine, by the command that the README gives."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import missing_for_real

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(180)
def test_quickstart() -> None:
    ran = subprocess.run(
        [ROOT / "scripts" / "quickstart"],
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
        stdin=subprocess.DEVNULL,
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    last = ran.stdout.strip().splitlines()[-1]
    runtime = "shimv2" if os.geteuid() == 0 and not missing_for_real() else "process"
    assert last.startswith("quickstart: ok")
    assert f"runtime={runtime}" in last
