"""A crowd with deadlines of seconds, so that a call is overdue within the time of a test."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.crowd import Crowd

_QUICK = """
[policy]
call_deadline_s = 2.0
query_deadline_s = 1.0
stuck_s = 4.0
settle_s = 2.0
settle_max_s = 2.0
relist_s = 2.0
"""


@pytest.fixture
async def crowd() -> AsyncIterator[Crowd]:
    with tempfile.TemporaryDirectory(prefix="crowd-") as short:
        crowd = Crowd(Path(short), _QUICK)
        try:
            await crowd.open()
            yield crowd
        finally:
            await crowd.close()
        assert crowd.processes() == []
