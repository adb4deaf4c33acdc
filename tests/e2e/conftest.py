"""Whole agents in processes of their own, on short-named state directories."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import leftovers
from tests.support.agent_process import AgentProcess
from tests.support.runc_wrapper import RuncWrapper

#: Each duration as it stands to the others by default, call and query a little apart.
QUICK = """
[policy]
call_deadline_s = 2.0
query_deadline_s = 1.0
stuck_s = 4.0
settle_s = 1.5
settle_max_s = 1.0
relist_s = 1.5
"""


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """A directory whose name is short enough for the sockets in it, and can begin an id."""
    path = Path(tempfile.gettempdir(), f"cubelet-{uuid.uuid4().hex[:8]}")
    path.mkdir(mode=0o700)
    yield path
    left = leftovers.clear(path)
    shutil.rmtree(path)
    assert not left


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


@pytest.fixture
def quick_agent(state_dir: Path, wrapper: RuncWrapper) -> Iterator[AgentProcess]:
    """The same, but with less patience, so that what takes it half a minute takes seconds."""
    config = f'[runtime]\ndefault = "shimv2"\nrunc_binary = "{wrapper.path}"\n{QUICK}'
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
