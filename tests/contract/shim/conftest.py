"""Every test of this folder runs against our fake shim and against containerd's runc shim."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.labs import FakeLab, RuncLab, ShimLab, shim_lab


@pytest.fixture(
    params=[
        pytest.param(FakeLab, id="fake"),
        pytest.param(RuncLab, id="runc", marks=pytest.mark.real),
    ]
)
async def lab(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ShimLab]:
    async with shim_lab(request.param, tmp_path) as opened:
        yield opened
