"""The same rig for every runtime; the real shim with the real runc where those can run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.kinds import SHIMV2
from tests.contract.runtime.rig import KINDS_ALL, Rig
from tests.support.rootfs import build_rootfs_tar
from tests.support.runc_wrapper import RuncWrapper


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the template "mini"."""
    folder = tmp_path_factory.mktemp("templates")
    build_rootfs_tar(folder / "mini.tar")
    return folder


@pytest.fixture(params=KINDS_ALL)
async def deaf_rig(
    request: pytest.FixtureRequest, tmp_path: Path, templates: Path
) -> AsyncIterator[Rig]:
    """One runtime, whose shims find nobody to send their events to."""
    config = RuntimeConfig(state_dir=tmp_path, templates_dir=templates, ask_timeout_s=1.0)
    rig = Rig(request.param, config, template="mini" if request.param == SHIMV2 else "")
    yield rig
    await rig.close()


@pytest.fixture
async def rig(deaf_rig: Rig) -> AsyncIterator[Rig]:
    """One runtime, with its events received."""
    async with deaf_rig.listening():
        yield deaf_rig
        await deaf_rig.close()


@pytest.fixture
def runc(tmp_path: Path) -> RuncWrapper:
    """A runc that is slow on demand."""
    folder = tmp_path / "wrapper"
    folder.mkdir()
    return RuncWrapper(folder)


@pytest.fixture
async def slow_rig(tmp_path: Path, templates: Path, runc: RuncWrapper) -> AsyncIterator[Rig]:
    """The real shim over the wrapper."""
    config = RuntimeConfig(
        state_dir=tmp_path / "state",
        templates_dir=templates,
        runc_binary=str(runc.path),
        ask_timeout_s=1.0,
    )
    rig = Rig(SHIMV2, config, template="mini")
    async with rig.listening():
        yield rig
        await rig.close()
