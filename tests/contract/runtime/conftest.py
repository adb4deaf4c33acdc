"""The same rig for every runtime; the real shim with the real runc where those can run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.events import EventPump
from cubelet.runtime.kinds import FAKE, PROCESS, SHIMV2
from tests.contract.runtime.rig import Rig
from tests.support.rootfs import build_rootfs_tar

KINDS = [FAKE, PROCESS, pytest.param(SHIMV2, marks=pytest.mark.real)]


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the template "mini"."""
    folder = tmp_path_factory.mktemp("templates")
    build_rootfs_tar(folder / "mini.tar")
    return folder


@pytest.fixture(params=KINDS)
async def rig(
    request: pytest.FixtureRequest, tmp_path: Path, templates: Path
) -> AsyncIterator[Rig]:
    """One runtime, with its events received."""
    rig = make_rig(request.param, tmp_path, templates)
    pump = EventPump(rig.config.events_socket, lambda *hint: rig.hints.append(hint))
    await pump.start()
    yield rig
    await rig.close()
    await pump.close()


def make_rig(kind: str, state_dir: Path, templates: Path, *, runc: str = "runc") -> Rig:
    """A rig on this state directory."""
    config = RuntimeConfig(
        state_dir=state_dir, templates_dir=templates, runc_binary=runc, ask_timeout_s=1.0
    )
    return Rig(kind, config, template="mini" if kind == SHIMV2 else "")
