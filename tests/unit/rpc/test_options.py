"""gRPC ignores options that it does not know, so their names are looked up in its library."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from cubelet.rpc.options import SERVER_OPTIONS


def test_grpc_knows_every_option_by_its_name() -> None:
    found = importlib.util.find_spec("grpc._cython.cygrpc")
    assert found is not None
    assert found.origin is not None
    library = Path(found.origin).read_bytes()
    assert b"grpc.no_such_option\0" not in library
    assert [name for name, _ in SERVER_OPTIONS if f"{name}\0".encode() not in library] == []
