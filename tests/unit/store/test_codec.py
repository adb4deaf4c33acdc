from __future__ import annotations

import json
import zlib

import pytest

from cubelet.core.model import Record
from cubelet.store import codec
from tests.contract.store.samples import outcome, record, snapshot
from tests.support.records import in_every_state

STORED = codec.encode(record()).encode()
#: As the first format had it: no checksum.
UNCHECKED = b'{"v":1,"value":' + STORED.partition(b'"value":')[2]


def test_a_value_without_a_checksum_is_read_as_before() -> None:
    assert codec.decode(UNCHECKED, codec.RECORD) == record()


def test_the_checksum_is_that_of_the_bytes_as_they_stand() -> None:
    inside = STORED.partition(b'"value":')[2][:-1]
    assert json.loads(STORED)["crc"] == zlib.crc32(inside)


def test_no_flip_of_a_bit_gives_another_value() -> None:
    expected = record()
    for bit in range(8 * len(STORED)):
        flipped = bytearray(STORED)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            found = codec.decode(bytes(flipped), codec.RECORD)
        except codec.Unreadable:
            continue
        assert found == expected, bit


def test_the_envelope_says_its_version() -> None:
    envelope = json.loads(codec.encode(record()))
    assert envelope["v"] == codec.VERSION
    assert envelope["value"]["id"] == "box"
    assert "state" not in envelope["value"]


@pytest.mark.parametrize("one", in_every_state().values(), ids=in_every_state())
def test_a_record_of_each_state_comes_back_exactly(one: Record) -> None:
    assert codec.decode(codec.encode(one), codec.RECORD) == one


def test_an_outcome_and_a_snapshot_have_the_same_envelope() -> None:
    answered = json.loads(codec.encode(outcome()))
    assert (answered["v"], answered["value"]["record"]["id"]) == (codec.VERSION, "box")
    catalogued = json.loads(codec.encode(snapshot("snap")))
    assert (catalogued["v"], catalogued["value"]["id"]) == (codec.VERSION, "snap")


def test_one_kind_is_not_read_as_another() -> None:
    with pytest.raises(codec.Unreadable, match="not a stored Snapshot"):
        codec.decode(codec.encode(outcome()), codec.SNAPSHOT)


def test_a_field_that_is_not_known_yet_is_ignored() -> None:
    envelope = json.loads(UNCHECKED)
    envelope["value"]["colour"] = "blue"
    assert codec.decode(json.dumps(envelope), codec.RECORD) == record()


def test_a_field_that_is_missing_takes_its_default() -> None:
    envelope = json.loads(UNCHECKED)
    del envelope["value"]["epoch"]
    assert codec.decode(json.dumps(envelope), codec.RECORD).epoch == 0


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "truncated"),
        (b"\xff\xfe", "malformed"),
        (b"[]", "array"),
        (b'{"v":1}', "missing"),
        (b'{"value":{}}', "missing"),
        (b'{"v":1,"value":{"id":"box"}}', "missing"),
        (b'{"v":1,"value":' + b"[" * 100_000, "recursion"),
        (STORED[:-10], "truncated"),
        (UNCHECKED.replace(b'"PAUSE"', b'"FLY"'), "FLY"),
        (UNCHECKED.replace(b'"default"', b'"\xff"'), "decode"),
        (STORED.replace(b'"PAUSE"', b'"FLY"'), "checksum"),
        (STORED.replace(b'"crc"', b'"cre"'), "checksum"),
        (STORED.replace(b'{"v":2', b'{"v":3'), "version 3"),
        (b'{"v":3,"value":"another shape"}', "version 3"),
    ],
)
def test_what_cannot_be_read_says_why(data: bytes, why: str) -> None:
    with pytest.raises(codec.Unreadable, match=why):
        codec.decode(data, codec.RECORD)
