"""The kinds of shim that every promise is tried with."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract.process_shim.harness import (
    PYTHONPATH,
    Kind,
    Shim,
    kinds,
    new_bundle,
    python_for,
    remove_bundle,
    usable,
)


@pytest.fixture(params=kinds(), ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    return usable(request.param)


@pytest.fixture
async def shim(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shim]:
    python = python_for(kind.user)
    if not python:
        pytest.skip("no Python here that an ordinary user can run with our packages")
    bundle = new_bundle(kind)
    monkeypatch.setenv("SHIM_SOCKET_DIR", str(bundle))
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)
    shim = Shim(kind, python, bundle)
    try:
        await shim.begin()
        yield shim
    finally:
        await shim.end()
        remove_bundle(bundle)
