from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.lives import lived_store


@pytest.fixture
async def store(tmp_path: Path) -> Path:
    """The file of a store that was used and is closed."""
    path = tmp_path / "store.db"
    await lived_store(path)
    return path
