from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest

from cubelet import places
from cubelet.config import Config, ConfigError, load
from cubelet.core.policy import Policy


def loaded(
    tmp_path: Path,
    text: str,
    *,
    env: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
    uid: int = 0,
) -> Config:
    path = tmp_path / "cubelet.toml"
    path.write_text(text)
    return load(path, overrides, env=env or {}, uid=uid)


def test_everything_has_a_default() -> None:
    config = load(None, env={}, uid=0)
    assert config.state_dir == "/var/lib/cubelet"
    assert config.server.socket == "/var/lib/cubelet/run/cubelet.sock"
    assert config.server.local_socket == "/var/lib/cubelet/run/cubelet.ttrpc"
    assert config.runtime.templates_dir == "/var/lib/cubelet/templates"
    assert config.policy == Policy()
    assert config.log.level == "info"


@pytest.mark.parametrize(
    ("env", "state_dir"),
    [
        ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/cubelet"),
        ({"HOME": "/h"}, "/h/.local/state/cubelet"),
        ({"HOME": "/h", "XDG_STATE_HOME": ""}, "/h/.local/state/cubelet"),
    ],
)
def test_a_user_has_a_state_directory_of_their_own(env: dict[str, str], state_dir: str) -> None:
    config = load(None, env=env, uid=1000)
    assert config.state_dir == state_dir
    assert config.server.socket == f"{state_dir}/run/cubelet.sock"
    # Where cubecli, which reads no configuration, looks for it.
    looked_for = places.local_socket(places.default_state_dir(env=env, uid=1000))
    assert config.server.local_socket == looked_for == f"{state_dir}/run/cubelet.ttrpc"


def test_a_user_without_a_home_is_told() -> None:
    with pytest.raises(ConfigError, match="set state_dir"):
        load(None, env={}, uid=1000)
    assert load(None, {"state_dir": "/s"}, env={}, uid=1000).state_dir == "/s"


def test_a_file_sets_every_key(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        """
        state_dir = "/s"
        [server]
        socket = "/s/x.sock"
        local_socket = "/s/x.ttrpc"
        tcp = "127.0.0.1:9999"
        shutdown_grace_s = 5
        [runtime]
        default = "process"
        shim_binary = "/opt/shim"
        runc_binary = "/opt/runc"
        templates_dir = "/t"
        [policy]
        call_deadline_s = 1
        stuck_s = 2.5
        [log]
        level = "debug"
        """,
    )
    assert config.server.tcp == "127.0.0.1:9999"
    assert config.server.local_socket == "/s/x.ttrpc"
    assert config.server.shutdown_grace_s == 5.0
    assert config.runtime.templates_dir == "/t"
    assert config.policy == Policy(call_deadline_s=1.0, stuck_s=2.5)
    assert config.log.level == "debug"


def test_options_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    text = '[server]\ntcp = "127.0.0.1:1"\nsocket = "/a"\n[log]\nlevel = "error"\n'
    env = {"CUBELET_SERVER__TCP": "127.0.0.1:2", "CUBELET_SERVER__SOCKET": "/b"}
    config = loaded(tmp_path, text, env=env, overrides={"server.tcp": "127.0.0.1:3"})
    assert config.server.tcp == "127.0.0.1:3"
    assert config.server.socket == "/b"
    assert config.log.level == "error"


@pytest.mark.parametrize("name", [field.name for field in fields(Policy)])
def test_every_policy_can_come_from_the_environment(name: str) -> None:
    env = {f"CUBELET_POLICY__{name.upper()}": "60.5"}
    overrides = {"policy.stuck_s": 200}
    policy = load(None, overrides if name != "stuck_s" else None, env=env, uid=0).policy
    assert getattr(policy, name) == 60.5


def test_variables_of_others_are_left_alone() -> None:
    env = {"CUBELET_CONFIG": "x", "CUBELET_ADDRESS": "y", "CUBELET_REQUIRE_REAL": "1", "PATH": "z"}
    assert load(None, env=env, uid=0) == load(None, env={}, uid=0)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("CUBELET_SERVER__SOKET", "/x", "CUBELET_SERVER__SOKET names no key"),
        ("CUBELET_SOCKET", "/x", "CUBELET_SOCKET names no key"),
        ("CUBELET_SERVER", "/x", "CUBELET_SERVER names no key"),
        ("CUBELET_POLICY", "1", "CUBELET_POLICY names no key"),
        ("CUBELET_POLICY__STUCK", "1", "CUBELET_POLICY__STUCK names no key"),
        ("CUBELET_STATE_DIR__X", "1", "CUBELET_STATE_DIR__X names no key"),
        ("CUBELET_", "1", "CUBELET_ names no key"),
        ("CUBELET_POLICY__STUCK_S", "long", "CUBELET_POLICY__STUCK_S: Expected `float`"),
        ("CUBELET_LOG__LEVEL", "loud", "CUBELET_LOG__LEVEL: Invalid enum value 'loud'"),
    ],
)
def test_a_bad_variable_is_named(name: str, value: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        load(None, env={name: value}, uid=0)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("state_dri = '/s'", r"unknown field `state_dri`"),
        ("[server]\nsoket = '/s'", r"unknown field `soket` - at `\$.server`"),
        ("[policy]\nstuck = 1", r"unknown field `stuck` - at `\$.policy`"),
        ("[policy]\nstuck_s = '1'", r"Expected `float`, got `str` - at `\$.policy.stuck_s`"),
        ("policy = 3", r"Expected `object`, got `int` - at `\$.policy`"),
        ("[log]\nlevel = 'loud'", r"Invalid enum value 'loud' - at `\$.log.level`"),
        ("[server\n", "is not TOML"),
        ("[policy]\nquery_deadline_s = 0", "policy.query_deadline_s must be"),
        ("[policy]\nquery_deadline_s = nan", "policy.query_deadline_s must be"),
        ("[policy]\nstuck_s = inf", "policy.stuck_s must be"),
        ("[policy]\nstuck_s = 59.9", r"stuck_s \(59.9\) must be at least twice"),
        ("[server]\nshutdown_grace_s = -1", "shutdown_grace_s must be"),
        ("state_dir = 'here'", "state_dir must be an absolute path, not 'here'"),
        ("[server]\nsocket = 'here'", "server.socket must be an absolute path"),
        ("[server]\nlocal_socket = 'x.ttrpc'", "server.local_socket must be an absolute path"),
        ("[server]\nsocket = '/s.ttrpc'", "server.socket must not end in .ttrpc"),
        ("[server]\nlocal_socket = '/s.sock'", "server.local_socket must end in .ttrpc"),
        ("[runtime]\ntemplates_dir = 'here'", "runtime.templates_dir must be an absolute path"),
        ("[server]\ntcp = '9999'", "must be HOST:PORT"),
        ("[server]\ntcp = ':9999'", "must be HOST:PORT"),
        ("[server]\ntcp = '127.0.0.1:99999'", "must be HOST:PORT"),
        ("[server]\ntcp = '0.0.0.0:9999'", "not on the loopback"),
        ("[server]\ntcp = 'example.org:9999'", "not on the loopback"),
    ],
)
def test_a_bad_file_is_refused_with_the_place(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        loaded(tmp_path, text)


@pytest.mark.parametrize("tcp", ["127.0.0.1:0", "127.8.8.8:65535", "[::1]:1", "localhost:80", ""])
def test_loopback_addresses_are_taken(tcp: str) -> None:
    assert load(None, {"server.tcp": tcp}, env={}, uid=0).server.tcp == tcp


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: No such file or directory"):
        load(tmp_path / "nowhere.toml", env={}, uid=0)
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is not TOML"):
        load(tmp_path / "bytes", env={}, uid=0)


def test_a_socket_path_counts_in_bytes() -> None:
    fits = "/" + "é" * 53
    assert load(None, {"server.socket": fits}, env={}, uid=0).server.socket == fits
    with pytest.raises(ConfigError, match=r"has 108 bytes.*at most 107.*shorter"):
        load(None, {"server.socket": fits + "x"}, env={}, uid=0)
    with pytest.raises(ConfigError, match=r"shorter server.socket or state_dir"):
        load(None, {"state_dir": "/" + "x" * 100}, env={}, uid=0)
    just_for_the_other = "/" + "x" * (107 - len("//run/cubelet.sock"))
    with pytest.raises(ConfigError, match=r"has 108 bytes.*shorter server.local_socket or"):
        load(None, {"state_dir": just_for_the_other}, env={}, uid=0)


def test_an_option_that_is_none_of_ours_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"the option for server.x.*unknown field `x`"):
        load(None, {"server.x": 1}, env={}, uid=0)
