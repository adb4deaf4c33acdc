"""What the shim uses of a bundle's OCI config.json, checked before anything is started."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cubelet.shims.process.errors import BundleError
from cubelet.shims.process.freezer import Choice

if TYPE_CHECKING:
    from pathlib import Path

FREEZER_ANNOTATION: Final = "cubelet.process/freezer"
_CONFIG_BYTES_MAX: Final = 4 << 20
#: The one 32-bit number that is no id: setresuid(2) reads it as "leave as it is".
_NOBODY_ID: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class User:
    """Whom the process runs as; only root can choose."""

    uid: int
    gid: int
    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a whole tree; None is no limit. Times in microseconds, as OCI has them."""

    memory_bytes: int | None
    cpu_quota_us: int | None
    cpu_period_us: int | None
    cpu_shares: int | None

    @property
    def any(self) -> bool:
        """Whether there is anything to limit."""
        return any(v is not None for v in (self.memory_bytes, self.cpu_quota_us, self.cpu_shares))


@dataclass(frozen=True, slots=True)
class Spec:
    """One process to start."""

    args: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    user: User
    no_new_privileges: bool
    #: To be chrooted into; None for the host's own files.
    root: Path | None
    limits: Limits
    freezer: Choice


def load_spec(bundle: Path) -> Spec:
    """Read and check `bundle`/config.json; raises BundleError."""
    path = bundle / "config.json"
    try:
        with path.open("rb") as file:
            content = file.read(_CONFIG_BYTES_MAX + 1)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error
    if len(content) > _CONFIG_BYTES_MAX:
        raise BundleError(f"{path} is over {_CONFIG_BYTES_MAX} bytes")
    try:
        config = json.loads(content)
    except ValueError as error:
        raise BundleError(f"{path} is no JSON: {error}") from error
    try:
        return _spec_of(config, bundle)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None


def _spec_of(config: Any, bundle: Path) -> Spec:
    process = _get(config, "process", dict, {})
    if _get(process, "terminal", bool, default=False):
        raise BundleError("process.terminal: this runtime has no terminals; set it to false")
    args = _texts(process, "args")
    if not args or not args[0]:
        raise BundleError("process.args is empty: nothing to start")
    env = _texts(process, "env")
    if bad := next((entry for entry in env if "=" not in entry), None):
        raise BundleError(f"process.env: {bad!r} is not NAME=VALUE")
    cwd = _get(process, "cwd", str, "/")
    if not cwd.startswith("/"):
        raise BundleError(f"process.cwd: {cwd!r} is not absolute")
    return Spec(
        args=args,
        env=env,
        cwd=cwd,
        user=_user_of(_get(process, "user", dict, {})),
        no_new_privileges=_get(process, "noNewPrivileges", bool, default=False),
        root=_root_of(_get(config, "root", dict, {}), bundle),
        limits=_limits_of(_get(_get(config, "linux", dict, {}), "resources", dict, {})),
        freezer=_freezer_of(_get(config, "annotations", dict, {})),
    )


def _get(parent: Any, name: str, kind: type[Any], default: Any = None) -> Any:
    """A field of a JSON object; absent and null are the default."""
    if not isinstance(parent, dict):
        raise BundleError(f"expected an object with {name!r}, found {type(parent).__name__}")
    value = parent.get(name)
    if value is None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise BundleError(f"{name} is {type(value).__name__}, expected {kind.__name__}")
    return value


def _texts(parent: Any, name: str) -> tuple[str, ...]:
    values = _get(parent, name, list, [])
    for value in values:
        if not isinstance(value, str) or "\0" in value:
            raise BundleError(f"{name}: {value!r} is not a text without zero bytes")
    return tuple(values)


def _user_of(user: Any) -> User:
    groups = _get(user, "additionalGids", list, [])
    uid, gid = _get(user, "uid", int, 0), _get(user, "gid", int, 0)
    for number in (uid, gid, *groups):
        if type(number) is not int or not 0 <= number < _NOBODY_ID:
            raise BundleError(f"process.user: {number!r} is no user or group number")
    return User(uid, gid, tuple(groups))


def _root_of(root: Any, bundle: Path) -> Path | None:
    """The folder to chroot into, where it is one with something in it and we may."""
    path = (bundle / _get(root, "path", str, "/")).resolve()
    if path == path.parent or os.geteuid() != 0 or not path.is_dir():
        return None
    return path if any(path.iterdir()) else None


def _limits_of(resources: Any) -> Limits:
    memory = _get(resources, "memory", dict, {})
    cpu = _get(resources, "cpu", dict, {})
    numbers = (
        _get(memory, "limit", int),
        _get(cpu, "quota", int),
        _get(cpu, "period", int),
        _get(cpu, "shares", int),
    )
    # OCI has -1 (and 0) for "no limit".
    return Limits(*(number if number and number > 0 else None for number in numbers))


def _freezer_of(annotations: Any) -> Choice:
    word = _get(annotations, FREEZER_ANNOTATION, str, Choice.AUTO.value)
    try:
        return Choice(word)
    except ValueError:
        known = ", ".join(choice.value for choice in Choice)
        raise BundleError(f"{FREEZER_ANNOTATION}: {word!r} is none of {known}") from None
