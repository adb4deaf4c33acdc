from __future__ import annotations

import pytest

from shimclient.errors import TooLarge
from shimclient.wire import (
    HEADER_BYTES,
    MESSAGE_BYTES_MAX,
    Decoder,
    Flag,
    Frame,
    FrameType,
    Oversize,
    encode,
)


def header(length: int, stream_id: int = 1, kind: int = 1, flags: int = 0) -> bytes:
    return length.to_bytes(4, "big") + stream_id.to_bytes(4, "big") + bytes([kind, flags])


def test_golden_bytes_of_a_request() -> None:
    assert encode(Frame(3, FrameType.REQUEST, 0, b"ab")) == bytes.fromhex(
        "00000002 00000003 01 00 6162"
    )


def test_golden_bytes_of_a_closing_data_frame() -> None:
    flags = Flag.REMOTE_CLOSED | Flag.NO_DATA
    assert encode(Frame(0xFFFFFFFF, FrameType.DATA, flags)) == bytes.fromhex(
        "00000000 ffffffff 03 05"
    )


def test_data_frames_and_flags_are_decoded() -> None:
    [frame] = Decoder().feed(bytes.fromhex("00000001 00000005 03 02 7a"))
    assert frame == Frame(5, FrameType.DATA, Flag.REMOTE_OPEN, b"z")


def test_a_type_nobody_knows_is_still_a_frame() -> None:
    assert Decoder().feed(header(1, kind=77, flags=255) + b"x") == [Frame(1, 77, 255, b"x")]


def test_an_empty_frame_needs_no_further_byte() -> None:
    assert Decoder().feed(header(0)) == [Frame(1, 1, 0, b"")]


def test_several_frames_in_one_feed_come_in_order() -> None:
    frames = [Frame(i, 1, 0, bytes([i]) * i) for i in range(1, 9)]
    assert Decoder().feed(b"".join(map(encode, frames))) == frames


def test_the_limit_itself_is_allowed() -> None:
    frame = Frame(1, 1, 0, bytes(MESSAGE_BYTES_MAX))
    assert Decoder().feed(encode(frame)) == [frame]


def test_one_byte_over_the_limit_is_refused_when_sending() -> None:
    with pytest.raises(TooLarge, match="4194305"):
        encode(Frame(1, 1, 0, bytes(MESSAGE_BYTES_MAX + 1)))


def test_oversize_is_reported_with_its_header_and_before_its_body() -> None:
    over = MESSAGE_BYTES_MAX + 1
    assert Decoder().feed(header(over, 9, 2, 4)) == [Oversize(9, 2, 4, over)]


def test_exactly_the_oversize_body_is_skipped_and_the_next_frame_is_in_step() -> None:
    decoder = Decoder()
    over = MESSAGE_BYTES_MAX + 1
    assert len(decoder.feed(header(over) + bytes(100))) == 1
    assert decoder.feed(bytes(over - 101)) == []
    assert not decoder.at_boundary
    assert decoder.feed(b"\xff" + encode(Frame(3, 1, 0, b"ok"))) == [Frame(3, 1, 0, b"ok")]
    assert decoder.at_boundary


def test_the_largest_length_a_header_can_say_keeps_no_memory() -> None:
    decoder = Decoder()
    decoder.feed(header(0xFFFFFFFF))
    for _ in range(8):
        assert decoder.feed(bytes(1 << 20)) == []
    assert not decoder._tail


def test_an_announced_length_reserves_nothing() -> None:
    decoder = Decoder()
    decoder.feed(header(MESSAGE_BYTES_MAX))
    assert len(decoder._tail) == HEADER_BYTES


@pytest.mark.parametrize("cut", range(1, HEADER_BYTES + 4))
def test_a_cut_anywhere_is_no_boundary(cut: int) -> None:
    decoder = Decoder()
    whole = encode(Frame(1, 1, 0, b"data"))
    assert decoder.feed(whole[:cut]) == []
    assert not decoder.at_boundary
    assert decoder.feed(whole[cut:]) == [Frame(1, 1, 0, b"data")]
    assert decoder.at_boundary


def test_nothing_fed_is_nothing_found() -> None:
    decoder = Decoder()
    assert decoder.feed(b"") == []
    assert decoder.at_boundary


def test_a_waiting_frame_is_not_looked_at_again_before_it_is_whole() -> None:
    """The guard against quadratic work: many small feeds of one large frame only append."""
    cuts: list[int] = []

    class Spied(Decoder):
        def _cut(self, data: bytes) -> list[Frame | Oversize]:
            cuts.append(len(data))
            return super()._cut(data)

    spied = Spied()
    spied.feed(header(1000))
    for _ in range(1000):
        spied.feed(b"x")
    assert cuts == [HEADER_BYTES, HEADER_BYTES + 1000]
