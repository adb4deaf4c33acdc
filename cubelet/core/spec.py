"""What a sandbox is asked to be: fixed when it is created, never changed after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Limits for the whole sandbox. 0 means no limit."""

    cpu_milli: int = 0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpHook:
    """An HTTP GET that is made before a pause; its failure never stops the pause."""

    host: str
    port: int
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """The wish of whoever created the sandbox, checked and complete.

    `template` names a root directory or a tar of one; runtimes without a root of their own take "".
    """

    runtime: str
    template: str = ""
    #: The snapshot to start from; only runtimes with snapshots take one.
    snapshot: str = ""
    args: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    resources: Resources = field(default_factory=Resources)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    prestop: tuple[HttpHook, ...] = ()
