from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cubelet.engine.ports import Store
from tests.contract.store.disks import KINDS, Disk


@pytest.fixture(params=KINDS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    made: Disk = request.param(tmp_path)
    return made


@pytest.fixture
async def store(disk: Disk) -> AsyncIterator[Store]:
    opened = await disk.open()
    yield opened
    await opened.close()
