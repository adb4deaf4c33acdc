"""Where a shim listens, as containerd and its shims write it."""

from __future__ import annotations

from shimclient.errors import ConnectFailed


def socket_path(address: str) -> str:
    """The path in `unix:///path`, `unix:/path` or a bare path; raises ConnectFailed for others."""
    scheme, colon, rest = address.partition(":")
    path = rest.removeprefix("//") if colon and scheme == "unix" else address
    if not path or "\0" in path or (path == address and "://" in address):
        raise ConnectFailed(f"{address!r} is no address of a unix socket; write unix:///path")
    return path
