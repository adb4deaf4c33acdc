"""Pages over a list that changes between them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cubelet.api.v1 import sandboxes_pb2 as pb
from cubelet.core.faults import CubeletError
from cubelet.core.model import Record, State
from cubelet.rpc.native.paging import PAGE_BYTES_MAX, PAGE_SIZE_MAX, page, place
from tests.unit.rpc.fakes import START_NS, make_record


def records(count: int) -> list[Record]:
    """The higher the number, the newer; two of each age."""
    return [replace(make_record(f"s{n:04}"), created_at_ns=START_NS + n // 2) for n in range(count)]


def message(record: Record) -> pb.Sandbox:
    return pb.Sandbox(id=record.id)


def ids(shown: object) -> list[str]:
    assert isinstance(shown, (list, tuple))
    return [record.id for record in shown]


def walk(all_of_them: list[Record], size: int) -> list[str]:
    shown, token = page(all_of_them, at=place, wire=message, size=size, token="")
    found = ids(shown)
    while token:
        shown, token = page(all_of_them, at=place, wire=message, size=size, token=token)
        found += ids(shown)
    return found


def test_every_sandbox_once_newest_first_ended_last() -> None:
    alive = records(7)
    ended = make_record("ended", State.EXITED)
    expected = ["s0006", "s0004", "s0005", "s0002", "s0003", "s0000", "s0001", "ended"]
    for size in (1, 2, 3, 7, 8, 9):
        assert walk([ended, *alive], size) == expected


def test_what_goes_or_comes_moves_no_other_over_the_edge() -> None:
    before = records(6)
    first, token = page(before, at=place, wire=message, size=2, token="")
    assert ids(first) == ["s0004", "s0005"]
    newcomer = replace(make_record("new"), created_at_ns=START_NS + 99)
    changed = [newcomer, *before[:5]]
    rest, _ = page(changed, at=place, wire=message, size=10, token=token)
    assert ids(rest) == ["s0002", "s0003", "s0000", "s0001"]


def test_one_that_ends_meanwhile_is_still_shown() -> None:
    before = records(4)
    _, token = page(before, at=place, wire=message, size=2, token="")
    changed = [replace(before[0], finished_at_ns=START_NS + 9), *before[1:]]
    rest, last = page(changed, at=place, wire=message, size=10, token=token)
    assert (ids(rest), last) == (["s0001", "s0000"], "")


@pytest.mark.parametrize(("size", "shown"), [(0, 500), (500, 500), (501, 500), (1 << 30, 500)])
def test_a_page_has_its_limit(size: int, shown: int) -> None:
    assert shown == PAGE_SIZE_MAX
    got, token = page(records(501), at=place, wire=message, size=size, token="")
    assert len(got) == shown
    assert token


@pytest.mark.parametrize("token", ["x", "%%%", "é", "MTox", "YTpiOmM=", "AAAA"])
def test_a_token_that_we_never_gave(token: str) -> None:
    with pytest.raises(CubeletError, match="page_token is"):
        page([], at=place, wire=message, size=1, token=token)


def test_a_negative_size() -> None:
    with pytest.raises(CubeletError, match="page_size is -1"):
        page([], at=place, wire=message, size=-1, token="")


def test_a_page_ends_early_where_sandboxes_are_large() -> None:
    """Each page fits a frame of ttrpc, and none is empty while there is something to show."""

    def large(record: Record) -> pb.Sandbox:
        size = PAGE_BYTES_MAX + 1 if record.id == "s0000" else PAGE_BYTES_MAX // 3
        return pb.Sandbox(id=record.id, exit_reason="x" * size)

    sizes, token = [], ""
    found: list[str] = []
    while True:
        shown, token = page(records(5), at=place, wire=large, size=0, token=token)
        sizes.append(len(shown))
        found += [sandbox.id for sandbox in shown]
        if not token:
            break
    assert sizes == [2, 1, 1, 1]
    assert found == ["s0004", "s0002", "s0003", "s0000", "s0001"]
