"""The channel arguments of the gRPC server, all in one place.

gRPC ignores an argument whose name it does not know, without a word, so a test looks every name up
in the library itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

MESSAGE_BYTES_MAX: Final = 16 << 20

SERVER_OPTIONS: Final[Sequence[tuple[str, int]]] = (
    # With it, a second agent on the same port would silently get half of the requests.
    ("grpc.so_reuseport", 0),
    # CubeSandbox's shipped configuration has the same limit, both ways.
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # Masters may ping each 10 s, also without a request, and are not sent away for it.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)
