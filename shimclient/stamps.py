"""Protobuf timestamps as nanoseconds since 1970, and the Go way of saying "never"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

_NS_PER_S: Final = 1_000_000_000
#: Go's zero time (year 1): containerd's shims send it for a task that has not exited.
_YEAR_ONE_S: Final = -62_135_596_800


def stamp_ns(stamp: Timestamp) -> int | None:
    """Nanoseconds since 1970; None for Go's zero time and for a stamp that was not set."""
    if stamp.seconds == _YEAR_ONE_S or (stamp.seconds == 0 and stamp.nanos == 0):
        return None
    return stamp.seconds * _NS_PER_S + stamp.nanos


def set_stamp(stamp: Timestamp, at_ns: int | None) -> None:
    """Write nanoseconds since 1970 into a message's stamp; None as Go's zero time."""
    stamp.seconds, stamp.nanos = (_YEAR_ONE_S, 0) if at_ns is None else divmod(at_ns, _NS_PER_S)
