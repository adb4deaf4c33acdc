from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shimclient.calls import CallTable, StreamLedger


@given(st.lists(st.sampled_from(["open", "take"]), max_size=60))
def test_ids_are_odd_increase_and_each_waiter_is_taken_once(
    steps: list[str],
) -> None:
    table: CallTable[int] = CallTable()
    opened: list[int] = []
    taken: list[int] = []
    for number, step in enumerate(steps):
        if step == "open":
            opened.append(table.open(number))
        elif opened:
            stream_id = opened[number * 7 % len(opened)]
            waiter = table.take(stream_id)
            if waiter is not None:
                taken.append(waiter)
    assert opened == list(range(1, 2 * len(opened), 2))
    assert len(taken) == len(set(taken))
    assert len(table) + len(taken) == len(opened)


@given(st.lists(st.integers(0, 40), max_size=60))
def test_a_request_id_is_accepted_only_if_odd_and_above_all_accepted_before(ids: list[int]) -> None:
    ledger = StreamLedger()
    accepted: list[int] = []
    for stream_id in ids:
        good = stream_id % 2 == 1 and stream_id > max(accepted, default=0)
        assert (ledger.fault_of_request(stream_id) is None) == good
        if good:
            accepted.append(stream_id)
