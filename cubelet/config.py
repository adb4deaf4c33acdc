"""The agent's configuration: a TOML file, the environment over it, command-line options over both.

`load` reads the file and nothing else of the world; environment and user id are given to it. What
is misspelt anywhere is an error that names the place, never ignored.
"""

from __future__ import annotations

import ipaddress
import math
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import msgspec

from cubelet import places
from cubelet.core.policy import Policy
from cubelet.places import LOCAL_SUFFIX, SOCKET_PATH_BYTES_MAX

PORT_MAX = 65535
#: Variables of the same prefix that belong to others: cubecli, the agent's command line, the tests.
NOT_OURS = frozenset({"CUBELET_CONFIG", "CUBELET_ADDRESS", "CUBELET_REQUIRE_REAL"})
_PREFIX = "CUBELET_"


class ConfigError(Exception):
    """The configuration cannot be used; one line that says where and what to do."""


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the agent listens."""

    #: Empty in the file: STATE_DIR/run/cubelet.sock. Never empty once loaded.
    socket: str = ""
    #: Where local callers are answered over ttrpc; ends in .ttrpc, by which they know. Empty in the
    #: file: STATE_DIR/run/cubelet.ttrpc. Never empty once loaded.
    local_socket: str = ""
    #: HOST:PORT on the loopback, or empty for none. Port 0: one that is free.
    tcp: str = ""
    #: How long a stop waits for operations: a call's 30 s, a query's 5 s, and the write.
    shutdown_grace_s: float = 36.0


class Runtime(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What sandboxes are run by."""

    #: The runtime of a sandbox that names none. Empty: the best that is usable here.
    default: str = ""
    #: Names that PATH finds, or absolute paths.
    shim_binary: str = "containerd-shim-runc-v2"
    runc_binary: str = "runc"
    #: Empty in the file: STATE_DIR/templates. Never empty once loaded.
    templates_dir: str = ""


class Orphans(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is done about things on this host that belong to no record."""

    #: Whether remains of sandboxes are removed at start, and what lives of them killed. Otherwise
    #: they are only told of.
    remove_at_start: bool = False


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the agent says, on stderr, one JSON object a line."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything; made by `load`, with every path absolute and every default filled in."""

    #: Empty in the file: /var/lib/cubelet for root, else below XDG_STATE_HOME.
    state_dir: str = ""
    server: Server = Server()
    runtime: Runtime = Runtime()
    policy: Policy = Policy()
    orphans: Orphans = Orphans()
    log: Log = Log()


def load(
    path: Path | None,
    overrides: Mapping[str, object] | None = None,
    *,
    env: Mapping[str, str],
    uid: int,
) -> Config:
    """The configuration from file (None: no file), environment and options, checked and complete.

    `overrides` are typed values by dotted key, such as {"server.socket": "/run/x.sock"}. Raises
    ConfigError for a file that cannot be read, a key or variable that is not known, and a value
    that is of the wrong kind or does not fit the others.
    """
    table: dict[str, Any] = {} if path is None else _read(path)
    source = "the defaults" if path is None else str(path)
    _convert(table, source)
    for name, text in sorted(env.items()):
        if name.startswith(_PREFIX) and name not in NOT_OURS:
            _put(table, _key_of(name), _typed(name, text))
            _convert(table, f"the environment variable {name}")
    for key, value in (overrides or {}).items():
        _put(table, key, value)
        _convert(table, f"the option for {key}")
    return _checked(_complete(_convert(table, source), env=env, uid=uid))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as problem:
        raise ConfigError(f"cannot read {path}: {problem.strerror}; check --config") from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise ConfigError(f"{path} is not TOML: {problem}") from problem


def _convert(table: dict[str, Any], source: str) -> Config:
    try:
        _refuse_unknown_policy(table.get("policy"))
        return msgspec.convert(table, Config)
    except msgspec.ValidationError as problem:
        raise ConfigError(f"{source}: {problem}") from problem


def _refuse_unknown_policy(section: object) -> None:
    """What the structs do by themselves; the core's Policy is a plain dataclass, which does not."""
    known = {field.name for field in fields(Policy)}
    for name in section if isinstance(section, dict) else ():
        if name not in known:
            raise msgspec.ValidationError(f"Object contains unknown field `{name}` - at `$.policy`")


def _put(table: dict[str, Any], key: str, value: object) -> None:
    *sections, name = key.split(".")
    for section in sections:
        table = table.setdefault(section, {})
    table[name] = value


def _key_of(variable: str) -> str:
    return variable.removeprefix(_PREFIX).lower().replace("__", ".")


def _typed(variable: str, text: str) -> object:
    """The text as the type that its key has: the environment knows texts only."""
    kind: Any = Config
    for part in _key_of(variable).split("."):
        kind = _types(kind).get(part)
    if kind is None or _types(kind):
        known = "CUBELET_SECTION__KEY, such as CUBELET_SERVER__TCP"
        raise ConfigError(f"the environment variable {variable} names no key; use {known}")
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as problem:
        raise ConfigError(f"the environment variable {variable}: {problem}") from problem


def _types(kind: Any) -> dict[str, Any]:
    """Names and types of the keys below a section; empty for what is none."""
    info = msgspec.inspect.type_info(kind) if kind is not None else None
    if isinstance(info, msgspec.inspect.StructType):
        return {one.name: one.type for one in msgspec.structs.fields(kind)}
    return {one.name: float for one in fields(Policy)} if kind is Policy else {}


def _complete(config: Config, *, env: Mapping[str, str], uid: int) -> Config:
    try:
        state_dir = config.state_dir or places.default_state_dir(env=env, uid=uid)
    except places.NoStateDir as problem:
        raise ConfigError(str(problem)) from problem
    replace = msgspec.structs.replace
    server = replace(
        config.server,
        socket=config.server.socket or places.grpc_socket(state_dir),
        local_socket=config.server.local_socket or places.local_socket(state_dir),
    )
    templates = config.runtime.templates_dir or str(Path(state_dir) / "templates")
    return replace(
        config,
        state_dir=str(Path(state_dir)),
        server=server,
        runtime=replace(config.runtime, templates_dir=templates),
    )


def _checked(config: Config) -> Config:
    _check_absolute("state_dir", config.state_dir)
    _check_absolute("runtime.templates_dir", config.runtime.templates_dir)
    _check_sockets(config.server)
    _check_tcp(config.server.tcp)
    if not 0 <= config.server.shutdown_grace_s < math.inf:
        raise ConfigError("server.shutdown_grace_s must be a number of seconds, 0 or more")
    _check_policy(config.policy)
    return config


def _check_absolute(key: str, path: str) -> None:
    if not path.startswith("/") or "\0" in path:
        raise ConfigError(f"{key} must be an absolute path, not {path!r}")


def _check_sockets(server: Server) -> None:
    """Both paths; and the ends of their names, which tell callers what is spoken there."""
    _check_socket("server.socket", server.socket)
    _check_socket("server.local_socket", server.local_socket)
    if server.socket.endswith(LOCAL_SUFFIX):
        raise ConfigError(
            f"server.socket must not end in {LOCAL_SUFFIX}, which is for server.local_socket"
        )
    if not server.local_socket.endswith(LOCAL_SUFFIX):
        raise ConfigError(
            f"server.local_socket must end in {LOCAL_SUFFIX}, by which callers know what is "
            f"spoken there, not {server.local_socket!r}"
        )


def _check_socket(key: str, path: str) -> None:
    _check_absolute(key, path)
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_BYTES_MAX:
        raise ConfigError(
            f"{key} {path} has {length} bytes, a unix socket's path has at most "
            f"{SOCKET_PATH_BYTES_MAX}; set a shorter {key} or state_dir"
        )


def _check_tcp(address: str) -> None:
    if not address:
        return
    host, _, port = address.rpartition(":")
    if not host or not re.fullmatch("[0-9]{1,5}", port) or int(port) > PORT_MAX:
        raise ConfigError(f"server.tcp must be HOST:PORT, such as 127.0.0.1:9999, not {address!r}")
    if not _is_loopback(host.strip("[]")):
        raise ConfigError(
            f"server.tcp {address} is not on the loopback, and TCP has no authentication; "
            "use 127.0.0.1, [::1] or localhost"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_policy(policy: Policy) -> None:
    for field in fields(policy):
        if not 0 < getattr(policy, field.name) < math.inf:
            raise ConfigError(f"policy.{field.name} must be a number of seconds above 0")
    if policy.stuck_s < 2 * policy.call_deadline_s:
        raise ConfigError(
            f"policy.stuck_s ({policy.stuck_s:g}) must be at least twice policy.call_deadline_s "
            f"({policy.call_deadline_s:g}), or a call in flight would be judged"
        )
