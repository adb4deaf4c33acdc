from __future__ import annotations

import hashlib
import json

import pytest

from cubelet.store import chain
from tests.contract.store.samples import AWKWARD

LINE = (7, "box", "0f" * 16, 3, 2, -(2**63), "rpc", None, "PAUSED", "", AWKWARD)


def test_a_hash_is_over_the_hash_before_and_the_line_as_plain_json() -> None:
    """Written down once more, so that another encoder of JSON cannot change what was written."""
    plain = json.dumps(LINE, ensure_ascii=False, separators=(",", ":"))
    expected = hashlib.sha256(("ab" * 32 + plain).encode()).hexdigest()
    assert chain.link("ab" * 32, LINE) == expected


def test_it_depends_on_each_column_and_on_what_is_before() -> None:
    lines = [(*LINE[:number], "another", *LINE[number + 1 :]) for number in range(len(LINE))]
    hashes = {chain.link(chain.START, line) for line in [LINE, *lines]}
    assert len(hashes) == len(LINE) + 1
    assert chain.link("1" * 64, LINE) not in hashes


def chained(count: int) -> list[tuple[chain.Line, str]]:
    lines: list[tuple[chain.Line, str]] = []
    before = chain.START
    for number in range(1, count + 1):
        line = (number, *LINE[1:])
        before = chain.link(before, line)
        lines.append((line, before))
    return lines


def numbers(lines: list[tuple[chain.Line, str]]) -> list[object]:
    return [line[0] for line in chain.misfits(chain.START, lines)]


def test_a_whole_chain_fits() -> None:
    assert numbers(chained(5)) == []


def test_what_was_changed_taken_out_or_moved_does_not_fit() -> None:
    whole = chained(5)
    (line, hash_), other = whole[2], chained(5)[3]
    changed = (*line[:-1], "another")
    assert numbers([*whole[:2], (changed, hash_), *whole[3:]]) == [3]
    relinked = (changed, chain.link(whole[1][1], changed))
    assert numbers([*whole[:2], relinked, *whole[3:]]) == [4]
    assert numbers([*whole[:2], *whole[3:]]) == [4]
    assert numbers([*whole[:2], other, whole[2], whole[4]]) == [4, 3, 5]


@pytest.mark.parametrize("text", ["", "7", "x " + "0" * 64, "1 2 3"])
def test_what_is_no_anchor_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="no anchor"):
        chain.parse_anchor(text)


def test_an_anchor_is_the_line_before_the_first() -> None:
    assert chain.parse_anchor(None) == (0, chain.START)
    assert chain.parse_anchor("12 " + "ab" * 32) == (12, "ab" * 32)
