"""A real containerd daemon for each test of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.daemon import Containerd


@pytest.fixture
async def containerd(tmp_path: Path) -> AsyncIterator[Containerd]:
    daemon = Containerd(tmp_path)
    try:
        await daemon.start()
        yield daemon
    finally:
        await daemon.close()
