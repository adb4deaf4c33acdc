from __future__ import annotations

import json

import pytest

from cubelet.store import codec
from tests.contract.store.samples import record


def test_the_envelope_says_its_version() -> None:
    envelope = json.loads(codec.encode(record()))
    assert envelope["v"] == codec.RECORD_VERSION
    assert envelope["record"]["id"] == "box"
    assert "state" not in envelope["record"]


def test_a_field_that_is_not_known_yet_is_ignored() -> None:
    envelope = json.loads(codec.encode(record()))
    envelope["record"]["colour"] = "blue"
    assert codec.decode(json.dumps(envelope).encode()) == record()


def test_a_field_that_is_missing_takes_its_default() -> None:
    envelope = json.loads(codec.encode(record()))
    del envelope["record"]["epoch"]
    assert codec.decode(json.dumps(envelope).encode()).epoch == 0


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "truncated"),
        (b"\xff\xfe", "malformed"),
        (b"[]", "array"),
        (b'{"v":1}', "missing"),
        (b'{"record":{}}', "missing"),
        (b'{"v":1,"record":{"id":"box"}}', "missing"),
        (b'{"v":1,"record":' + b"[" * 100_000, "recursion"),
        (codec.encode(record())[:-10], "truncated"),
        (codec.encode(record()).replace(b'"PAUSE"', b'"FLY"'), "FLY"),
        (codec.encode(record()).replace(b'"default"', b'"\xff"'), "decode"),
        (codec.encode(record()).replace(b'{"v":1', b'{"v":2'), "version 2"),
        (b'{"v":2,"record":"another shape"}', "version 2"),
    ],
)
def test_what_cannot_be_read_says_why(data: bytes, why: str) -> None:
    with pytest.raises(codec.Unreadable, match=why):
        codec.decode(data)
