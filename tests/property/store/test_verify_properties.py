"""A file with one wrong bit: the check tells it, or what is in the file is what was written."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cubelet.store.offline import readonly
from cubelet.store.offline.rows import TABLES
from cubelet.store.offline.verify import verify
from tests.support.lives import lived_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "store.db"
    asyncio.run(lived_store(path))
    return path


def rows(path: Path) -> dict[str, list[dict[str, Any]]]:
    """All that is in the file but for its facts about itself, which have no checksum."""
    with readonly.opened(path) as db:
        return {
            table: list(db[table].rows_where(order_by=order))
            for table, (_, order) in TABLES.items()
            if table != "meta"
        }


@given(data=st.data())
def test_a_bit_that_flipped_is_told_or_makes_no_difference(
    data: st.DataObject, store: Path
) -> None:
    whole = bytearray(store.read_bytes())
    # Half of the draws are in the first page, where SQLite has what it knows of the tables.
    end = data.draw(st.sampled_from([4096, len(whole)]))
    place = data.draw(st.integers(0, end - 1), label="byte")
    whole[place] ^= 1 << data.draw(st.integers(0, 7), label="bit")
    damaged = store.with_name("damaged.db")
    damaged.write_bytes(whole)
    report = verify(damaged)
    assert report.problems or rows(damaged) == rows(store)
