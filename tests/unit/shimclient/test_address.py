from __future__ import annotations

import pytest

from shimclient.address import socket_path
from shimclient.errors import ConnectFailed


@pytest.mark.parametrize("address", ["unix:///run/a.sock", "unix:/run/a.sock", "/run/a.sock"])
def test_the_three_ways_to_write_an_address(address: str) -> None:
    assert socket_path(address) == "/run/a.sock"


def test_a_colon_in_a_path_is_no_scheme() -> None:
    assert socket_path("/run/a:b.sock") == "/run/a:b.sock"


@pytest.mark.parametrize("address", ["", "unix://", "tcp://127.0.0.1:1", "vsock://2:1", "/a\0b"])
def test_other_addresses_are_refused_in_words(address: str) -> None:
    with pytest.raises(ConnectFailed, match="no address of a unix socket"):
        socket_path(address)
