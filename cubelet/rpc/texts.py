"""Text on its way to the wire: always encodable, never longer than what a header can carry."""

from __future__ import annotations

#: gRPC carries a status's text percent-encoded, up to three times as long, and again inside the
#: details; a client takes 8 KiB of headers in all.
MESSAGE_BYTES_MAX = 1024


def wire_text(text: str) -> str:
    """`text` with what UTF-8 cannot say replaced, cut between characters to MESSAGE_BYTES_MAX."""
    encoded = text.encode(errors="replace")
    if len(encoded) <= MESSAGE_BYTES_MAX:
        return encoded.decode()
    return encoded[: MESSAGE_BYTES_MAX - 3].decode(errors="ignore") + "…"
