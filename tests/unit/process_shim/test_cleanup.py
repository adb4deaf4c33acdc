"""`delete` and its record: real processes, found again by who they are."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cubelet.shims.process.cleanup import cleanup
from cubelet.shims.process.identity import Identity, boot_id, identify
from cubelet.shims.process.record import Record, record_from
from shimclient.skeleton.flags import Action, Flags
from shimclient.skeleton.statefile import StateFile, StateFileBroken

MARK = "CUBELET_SANDBOX_test=unit.box"
FLAGS = Flags(Action.DELETE)
GONE = Identity(2**22 + 1, 1)


@pytest.fixture
def marked() -> Iterator[subprocess.Popen[bytes]]:
    yield from _sleeper({"PATH": "/usr/bin:/bin", "X": "1", **dict([MARK.split("=", 1)])})


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    yield from _sleeper({"PATH": "/usr/bin:/bin", "NOT_" + MARK.split("=", 1)[0]: "unit.box"})


def _sleeper(env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"], env=env) as process:
        yield process
        process.kill()


def record(*, init: Identity = GONE, shim: Identity = GONE, boot: str = "") -> Record:
    return Record(boot or boot_id(), shim, init, MARK, ())


def store(bundle: Path, state: Any) -> Path:
    path = bundle / "shim-state.json"
    path.write_text(json.dumps(state))
    return path


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = Record("boot", Identity(1, 2), Identity(3, 4), MARK, (tmp_path, Path("/x")))
    state = StateFile(tmp_path / "state")
    state.save(written.to_json())
    stored = state.load()
    assert stored is not None
    assert record_from(stored) == written


@pytest.mark.parametrize("change", [{"format": 2}, {"init": [1]}, {"init": None}, {"groups": 1}])
def test_a_record_of_another_kind_is_refused_and_kept(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    path = store(tmp_path, {**record().to_json(), **change})
    with pytest.raises(StateFileBroken, match="no record of a process tree"):
        cleanup(FLAGS, tmp_path)
    assert path.exists()


def test_nothing_recorded_nothing_to_do(tmp_path: Path) -> None:
    ended = cleanup(FLAGS, tmp_path)
    assert (ended.pid, ended.exit_status) == (0, 137)


def test_who_has_the_mark_dies_and_who_has_not_lives(
    tmp_path: Path, marked: subprocess.Popen[bytes], bystander: subprocess.Popen[bytes]
) -> None:
    path = store(tmp_path, record().to_json())
    ended = cleanup(FLAGS, tmp_path)
    assert (ended.pid, ended.exit_status) == (GONE.pid, 137)
    assert marked.wait() == -9
    assert bystander.poll() is None
    assert not path.exists()


def test_who_is_older_than_the_shim_is_none_of_its_tree(
    tmp_path: Path, marked: subprocess.Popen[bytes]
) -> None:
    born = identify(marked.pid)
    assert born is not None
    shim = Identity(GONE.pid, born.start_ticks + 1)
    store(tmp_path, record(shim=shim).to_json())
    cleanup(FLAGS, tmp_path)
    assert marked.poll() is None


def test_the_first_process_is_ended_by_identity(
    tmp_path: Path, bystander: subprocess.Popen[bytes]
) -> None:
    found = identify(bystander.pid)
    assert found is not None
    store(tmp_path, record(init=Identity(found.pid, found.start_ticks - 1)).to_json())
    cleanup(FLAGS, tmp_path)
    assert bystander.poll() is None, "the pid is another's now"

    store(tmp_path, record(init=found).to_json())
    cleanup(FLAGS, tmp_path)
    assert bystander.wait() == -9


def test_a_record_of_another_boot_names_nobody(
    tmp_path: Path, marked: subprocess.Popen[bytes]
) -> None:
    found = identify(marked.pid)
    assert found is not None
    path = store(tmp_path, record(init=found, boot="another").to_json())
    cleanup(FLAGS, tmp_path)
    assert marked.poll() is None
    assert not path.exists()
