from __future__ import annotations

import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st

from cubelet.store import chain

COLUMN = st.none() | st.text(max_size=20) | st.integers(-(2**63), 2**63 - 1)


@given(st.lists(COLUMN, max_size=12))
def test_a_line_is_hashed_as_plain_json_whatever_is_in_it(line: list[int | str | None]) -> None:
    """So that anybody can check a chain, with any encoder that escapes no more than it must."""
    plain = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
    expected = hashlib.sha256((chain.START + plain).encode()).hexdigest()
    assert chain.link(chain.START, line) == expected


@given(st.lists(COLUMN, max_size=5), st.lists(COLUMN, max_size=5))
def test_other_lines_have_other_hashes(
    one: list[int | str | None], other: list[int | str | None]
) -> None:
    hashes = chain.link(chain.START, one), chain.link(chain.START, other)
    assert (hashes[0] == hashes[1]) == (one == other)
