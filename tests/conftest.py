"""What all tests share: those marked `real` run where root and the real programs are.

Elsewhere they say why not. With CUBELET_REQUIRE_REAL=1 such a test fails instead of being skipped:
CI shall not pass by skipping.
"""

from __future__ import annotations

import os
import shutil

import pytest
from hypothesis import HealthCheck, settings

# How fast examples are made says something about the machine, nothing about the code.
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")

_PROGRAMS = ("containerd", "containerd-shim-runc-v2", "runc")


def missing_for_real() -> str:
    """Why tests against real programs cannot run here; empty where they can."""
    if os.geteuid() != 0:
        return "needs root"
    absent = [name for name in _PROGRAMS if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("real") is None:
        return
    reason = missing_for_real()
    if reason and os.environ.get("CUBELET_REQUIRE_REAL") == "1":
        pytest.fail(f"CUBELET_REQUIRE_REAL is set, but: {reason}", pytrace=False)
    if reason:
        pytest.skip(reason)
