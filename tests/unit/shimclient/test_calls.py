from __future__ import annotations

import pytest

from shimclient.calls import REFUSED_STREAMS_MAX, CallTable, StreamLedger
from shimclient.errors import LocalLimit
from shimclient.wire import Flag


def test_a_taken_call_is_no_more() -> None:
    table: CallTable[str] = CallTable()
    first, second = table.open("a"), table.open("b")
    assert (first, second) == (1, 3)
    assert table.take(first) == "a"
    assert table.take(first) is None
    assert table.take_all() == ["b"]
    assert len(table) == 0


def test_ids_end_instead_of_starting_over() -> None:
    table: CallTable[str] = CallTable(first_id=0xFFFFFFFF)
    assert table.open("last") == 0xFFFFFFFF
    with pytest.raises(LocalLimit, match="used up"):
        table.open("one more")
    assert table.take_all() == ["last"]


def test_a_faulty_id_uses_nothing_up() -> None:
    ledger = StreamLedger()
    assert "even" in str(ledger.fault_of_request(8))
    assert ledger.fault_of_request(3) is None
    assert "must increment" in str(ledger.fault_of_request(3))
    assert "must increment" in str(ledger.fault_of_request(1))
    assert ledger.fault_of_request(5) is None


def test_a_stream_is_answered_once() -> None:
    ledger = StreamLedger()
    ledger.open(1)
    assert ledger.close(1)
    assert not ledger.close(1)


def test_data_is_passed_over_while_the_stream_is_open() -> None:
    ledger = StreamLedger()
    ledger.open(1)
    assert ledger.passes_over(1, 0)
    ledger.close(1)
    assert not ledger.passes_over(1, 0)


def test_data_of_a_refused_stream_is_passed_over_until_its_close() -> None:
    ledger = StreamLedger()
    ledger.refuse_stream(1)
    assert ledger.passes_over(1, 0)
    assert ledger.passes_over(1, Flag.REMOTE_CLOSED | Flag.NO_DATA)
    assert not ledger.passes_over(1, 0)


def test_only_the_newest_refused_streams_are_remembered() -> None:
    ledger = StreamLedger()
    for number in range(REFUSED_STREAMS_MAX + 1):
        ledger.refuse_stream(2 * number + 1)
    assert not ledger.passes_over(1, 0)
    assert ledger.passes_over(3, 0)
