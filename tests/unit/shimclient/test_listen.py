from __future__ import annotations

import errno
import socket
import stat
from pathlib import Path

import pytest

from shimclient.listen import bind_unix, remove_own, socket_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


def test_the_socket_is_open_to_its_owner_only(path: Path) -> None:
    with bind_unix(str(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_dead_socket_file_is_replaced(path: Path) -> None:
    bind_unix(str(path)).close()
    with bind_unix(str(path)) as bound:
        bound.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_live_socket_is_refused_and_left_alone(path: Path) -> None:
    with bind_unix(str(path)) as bound:
        bound.listen()
        with pytest.raises(OSError, match="another server") as refusal:
            bind_unix(str(path))
        assert refusal.value.errno == errno.EADDRINUSE
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_live_socket_with_a_full_queue_is_live(path: Path) -> None:
    with bind_unix(str(path)) as bound, socket.socket(socket.AF_UNIX) as waiting:
        bound.listen(0)
        waiting.connect(str(path))
        with pytest.raises(OSError, match="another server"):
            bind_unix(str(path))


def test_a_file_that_is_no_socket_is_never_removed(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(OSError, match="no socket"):
        bind_unix(str(path))
    assert path.read_text() == "precious"


def test_a_path_that_cannot_be_bound_leaves_no_open_socket(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        bind_unix(str(tmp_path / "missing" / "s"))


def test_only_the_owner_s_file_is_removed(path: Path) -> None:
    with bind_unix(str(path)) as first:
        own = socket_file(first)
        assert own is not None
        path.rename(path.with_name("kept"))  # Keeps the inode from being used again.
        with bind_unix(str(path)) as second:
            remove_own(own)
            assert path.exists()
            other = socket_file(second)
            assert other is not None
            remove_own(other)
            assert not path.exists()
            remove_own(other)


def test_a_socket_without_a_file_has_none_to_remove(path: Path) -> None:
    left, right = socket.socketpair()
    with left, right:
        assert socket_file(left) is None
    with bind_unix(str(path)) as bound:
        path.unlink()
        assert socket_file(bound) is None
