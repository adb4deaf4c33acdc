"""Where the server may listen, and what it refuses before it binds anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cubelet.rpc.sockets import CannotListen, loopback, prepare_directory


def test_the_directory_is_made_closed(tmp_path: Path) -> None:
    prepare_directory(tmp_path / "run" / "s.sock")
    assert (tmp_path / "run").stat().st_mode & 0o777 & ~0o750 == 0


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o751, 0o777, 0o1777, 0o2750])
def test_a_looser_directory_is_refused(tmp_path: Path, mode: int) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(CannotListen, match=f"has mode {mode:04o}.*chmod 750"):
        prepare_directory(directory / "s.sock")


@pytest.mark.parametrize("mode", [0o750, 0o700])
def test_a_closed_one_is_taken(tmp_path: Path, mode: int) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    directory.chmod(mode)
    prepare_directory(directory / "s.sock")
    assert directory.stat().st_mode & 0o777 == mode


def test_another_users_directory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    with pytest.raises(CannotListen, match=f"not to {stranger} as which"):
        prepare_directory(tmp_path / "s.sock")


def test_a_parent_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotListen, match=r"cannot make .*No such file"):
        prepare_directory(tmp_path / "a" / "b" / "s.sock")


def test_a_path_that_no_socket_can_have(tmp_path: Path) -> None:
    with pytest.raises(CannotListen, match="longer than 107 bytes"):
        prepare_directory(tmp_path / ("x" * 108))


@pytest.mark.parametrize("tcp", ["127.0.0.1:9999", "[::1]:0", "127.8.8.8:65535"])
def test_loopback_is_taken(tcp: str) -> None:
    assert loopback(tcp) == tcp


def test_localhost_is_what_it_should_be() -> None:
    assert loopback("localhost:9999") == "127.0.0.1:9999"


@pytest.mark.parametrize(
    ("tcp", "text"),
    [
        ("0.0.0.0:9999", "no authentication"),
        ("[::]:9999", "no authentication"),
        ("192.168.1.2:9999", "no authentication"),
        (":9999", "not ADDRESS:PORT"),
        ("localhost.evil:9999", "not ADDRESS:PORT"),
        ("127.0.0.1", "not ADDRESS:PORT"),
        ("127.0.0.1:", "no port"),
        ("127.0.0.1:65536", "no port"),
        ("127.0.0.1:-1", "no port"),
        ("127.0.0.1:٣", "no port"),
    ],
)
def test_everything_else_is_refused(tcp: str, text: str) -> None:
    with pytest.raises(CannotListen, match=text):
        loopback(tcp)
