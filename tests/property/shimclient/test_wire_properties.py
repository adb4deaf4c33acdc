from __future__ import annotations

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from shimclient.wire import HEADER_BYTES, MESSAGE_BYTES_MAX, Decoder, Frame, Oversize, encode

frames = st.builds(
    Frame,
    stream_id=st.integers(0, 0xFFFFFFFF),
    type=st.integers(0, 255),
    flags=st.integers(0, 255),
    data=st.binary(max_size=64),
)
Item = Frame | Oversize


def whole(data: bytes) -> list[Item]:
    return Decoder().feed(data)


def in_pieces(data: bytes, cuts: list[int]) -> list[Item]:
    decoder = Decoder()
    found: list[Item] = []
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(edges):
        found += decoder.feed(data[start:end])
    return found


@given(st.lists(frames, max_size=20), st.lists(st.integers(0, 4000), max_size=30))
def test_round_trip_through_any_split(sent: list[Frame], cuts: list[int]) -> None:
    assert in_pieces(b"".join(map(encode, sent)), cuts) == sent


@given(st.binary(max_size=600), st.lists(st.integers(0, 600), max_size=30))
def test_any_split_of_any_bytes_gives_the_same_frames(data: bytes, cuts: list[int]) -> None:
    assert in_pieces(data, cuts) == whole(data)


@given(st.lists(frames, max_size=8))
def test_byte_by_byte_is_the_same_and_ends_at_a_boundary(sent: list[Frame]) -> None:
    decoder = Decoder()
    found = [item for byte in b"".join(map(encode, sent)) for item in decoder.feed(bytes([byte]))]
    assert found == sent
    assert decoder.at_boundary


@given(
    before=frames,
    after=frames,
    over=st.integers(1, 5000),
    seed=st.integers(0, 2**32),
)
def test_an_oversize_body_is_skipped_to_the_byte(
    before: Frame, after: Frame, over: int, seed: int
) -> None:
    length = MESSAGE_BYTES_MAX + over
    big = length.to_bytes(4, "big") + b"\x00\x00\x00\x07\x02\x00" + b"\xee" * length
    data = encode(before) + big + encode(after)
    chance = random.Random(seed)  # noqa: S311  # No secret; hypothesis gives the seed.
    cuts = [chance.randrange(len(data)) for _ in range(10)]
    near = [len(encode(before)) + HEADER_BYTES, len(data) - len(encode(after))]
    cuts += [edge + step for edge in near for step in (-1, 0, 1)]
    assert in_pieces(data, cuts) == [before, Oversize(7, 2, 0, length), after]


@given(st.lists(frames, min_size=1, max_size=8), st.integers(1, 10_000))
def test_a_cut_stream_gives_every_whole_frame_and_no_other(sent: list[Frame], cut: int) -> None:
    data = b"".join(map(encode, sent))
    decoder = Decoder()
    found = decoder.feed(data[: len(data) - cut % len(data)])
    assert found == sent[: len(found)]
    assert decoder.at_boundary == (
        sum(len(encode(f)) for f in sent[: len(found)]) == len(data) - cut % len(data)
    )
