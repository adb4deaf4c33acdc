"""Whole agents in processes of their own, on short-named state directories."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent_process import AgentProcess
from tests.support.runc_wrapper import RuncWrapper


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """A directory whose name is short enough for the sockets in it."""
    path = Path(tempfile.mkdtemp(prefix="cubelet-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def wrapper(state_dir: Path) -> RuncWrapper:
    return RuncWrapper(state_dir)


@pytest.fixture
def real_agent(state_dir: Path, wrapper: RuncWrapper) -> Iterator[AgentProcess]:
    """An agent on the real runc shim."""
    config = f'[runtime]\ndefault = "shimv2"\nrunc_binary = "{wrapper.path}"\n'
    agent = AgentProcess(state_dir, config)
    agent.start()
    yield agent
    agent.close()


@pytest.fixture(params=["process", "fake"])
def plain_agent(request: pytest.FixtureRequest, state_dir: Path) -> Iterator[AgentProcess]:
    """An agent on a runtime that works for everybody."""
    agent = AgentProcess(state_dir, f'[runtime]\ndefault = "{request.param}"\n')
    agent.start()
    yield agent
    agent.close()
