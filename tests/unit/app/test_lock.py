"""One agent per state directory, whatever way the first one ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cubelet.core.faults import CubeletError, Reason
from cubelet.lock import StateLock, prepare_state_dir

HOLD = """
import sys, pathlib
from cubelet.lock import StateLock
lock = StateLock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_agent_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    lock = StateLock(tmp_path)
    with pytest.raises(CubeletError, match=rf"running agent \(pid {os.getpid()}\)") as caught:
        StateLock(tmp_path)
    assert caught.value.fault.reason is Reason.STATE_DIR_TAKEN
    lock.release()
    StateLock(tmp_path).release()


def test_kill_9_frees_the_directory(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(CubeletError, match=f"pid {holder.pid}"):
            StateLock(tmp_path)
        holder.kill()
    StateLock(tmp_path).release()


def test_a_missing_directory_is_made_for_its_owner(tmp_path: Path) -> None:
    state_dir = tmp_path / "a" / "b"
    prepare_state_dir(state_dir)
    assert state_dir.stat().st_mode & 0o777 == 0o750


def test_a_directory_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o770)
    with pytest.raises(CubeletError, match="writable by others; run: chmod 750") as caught:
        prepare_state_dir(tmp_path)
    assert caught.value.fault.reason is Reason.STATE_DIR_UNUSABLE


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CubeletError, match="cannot be used"):
        prepare_state_dir(tmp_path / "file" / "deeper")


def test_a_lock_that_cannot_be_opened_is_refused_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(CubeletError, match=r"the lock of .* cannot be taken: Is a dir") as caught:
        StateLock(tmp_path)
    assert caught.value.fault.reason is Reason.STATE_DIR_UNUSABLE


def test_a_disk_without_room_for_a_number_keeps_nobody_out(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to("/dev/full")
    StateLock(tmp_path).release()
