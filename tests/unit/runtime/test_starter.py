"""A shim is started whatever becomes of the zygote."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from cubelet.engine.ports import Capabilities
from cubelet.runtime import starter as module
from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.kinds import Kind, fake
from cubelet.runtime.starter import Starter
from shimclient import zygote as client
from tests.support.polling import eventually
from tests.support.shims import python_binary


async def start(starter: Starter, command: Sequence[str], folder: Path) -> int:
    """Run a command that only says that it is wrong: exit status 2."""
    files = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
    try:
        return await starter.run(
            [*command, "-wrong"], cwd=folder, env={**os.environ}, files=files, timeout_s=20
        )
    finally:
        for file in files:
            os.close(file)


async def test_one_zygote_serves_all_starts(tmp_path: Path) -> None:
    kind = fake(RuntimeConfig(state_dir=tmp_path, templates_dir=tmp_path))
    starter = Starter(kind, tmp_path)
    assert [await start(starter, kind.command, tmp_path) for _ in range(3)] == [2, 2, 2]
    assert (starter.forked, starter.fallbacks) == (3, 0)
    await starter.close()


async def test_a_zygote_that_died_between_starts_is_replaced(tmp_path: Path) -> None:
    kind = fake(RuntimeConfig(state_dir=tmp_path, templates_dir=tmp_path))
    starter = Starter(kind, tmp_path)
    await start(starter, kind.command, tmp_path)
    first = starter._zygote
    assert first is not None
    os.kill(first.pid, signal.SIGKILL)
    await eventually(lambda: not first.alive, what="it is dead")
    assert await start(starter, kind.command, tmp_path) == 2
    assert (starter.forked, starter.fallbacks) == (2, 0)
    await starter.close()


async def test_a_hung_zygote_is_done_without_and_replaced_after_a_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = fake(RuntimeConfig(state_dir=tmp_path, templates_dir=tmp_path))
    starter = Starter(kind, tmp_path)
    await start(starter, kind.command, tmp_path)
    hung = starter._zygote
    assert hung is not None
    with monkeypatch.context() as patch:
        patch.setattr(client, "FORK_TIMEOUT_S", 0.1)
        patch.setattr(module, "REST_S", 1000.0)
        os.kill(hung.pid, signal.SIGSTOP)
        assert await start(starter, kind.command, tmp_path) == 2
    assert not hung.alive
    assert await start(starter, kind.command, tmp_path) == 2
    assert (starter.forked, starter.fallbacks) == (1, 2)
    starter._rests_until_s = 0.0
    assert await start(starter, kind.command, tmp_path) == 2
    assert (starter.forked, starter.fallbacks) == (2, 2)
    await starter.close()


async def test_a_program_without_a_zygote_in_it_is_executed(tmp_path: Path) -> None:
    command = python_binary(tmp_path, "sys.exit(7 if sys.argv[1] == '-wrong' else 1)")
    starter = Starter(
        Kind(name="odd", command=command, forks=True, capabilities=Capabilities()), tmp_path
    )
    assert [await start(starter, command, tmp_path) for _ in range(2)] == [7, 7]
    assert (starter.forked, starter.fallbacks) == (0, 2)
    await starter.close()


async def test_others_binaries_never_get_a_zygote(tmp_path: Path) -> None:
    command = python_binary(tmp_path, "sys.exit(7 if sys.argv[1] == '-wrong' else 1)")
    starter = Starter(Kind(name="other", command=command, capabilities=Capabilities()), tmp_path)
    assert await start(starter, command, tmp_path) == 7
    assert (starter.forked, starter.fallbacks, starter._zygote) == (0, 0, None)
    await starter.close()
