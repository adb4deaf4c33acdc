"""What a sandbox is asked to be, as an OCI runtime configuration (1.0.2). Pure: values to values.

The container's defaults (mounts, capabilities, masked paths, the file limit) are those that
containerd 1.6 gives a container of which nothing special is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cubelet.core.spec import Resources, Spec

Config = dict[str, Any]

_OCI_VERSION: Final = "1.0.2"
#: The longest host name that Linux takes, less one for programs that want room for an end.
_HOSTNAME_CHARS_MAX: Final = 63
_CPU_PERIOD_US: Final = 100_000
#: The kernel takes no quota below this.
_CPU_QUOTA_US_MIN: Final = 1_000
_PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_CAPABILITIES: Final = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)
_MASKED_PATHS: Final = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/proc/scsi",
)
_READONLY_PATHS: Final = (
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
)
#: Where, what file system, source, options.
_MOUNTS: Final = (
    ("/proc", "proc", "proc", ("nosuid", "noexec", "nodev")),
    ("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
    ),
    ("/dev/shm", "tmpfs", "shm", ("nosuid", "noexec", "nodev", "mode=1777", "size=65536k")),  # noqa: S108 - inside the container
    ("/dev/mqueue", "mqueue", "mqueue", ("nosuid", "noexec", "nodev")),
    ("/sys", "sysfs", "sysfs", ("nosuid", "noexec", "nodev", "ro")),
)
#: A network namespace without a path is a new one: the sandbox has no network but its own loopback.
_NAMESPACES: Final = ("pid", "ipc", "uts", "mount", "network")


def container_config(
    spec: Spec, *, hostname: str, cgroups_path: str, cgroup_version: int
) -> Config:
    """A container with its own root (the bundle's `rootfs`) and its own namespaces."""
    namespaces = [*_NAMESPACES, *(["cgroup"] if cgroup_version > 1 else [])]
    return {
        "ociVersion": _OCI_VERSION,
        "process": {
            **_process(spec, cwd="/"),
            "user": {"uid": 0, "gid": 0},
            "capabilities": {
                kind: list(_CAPABILITIES) for kind in ("bounding", "effective", "permitted")
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        },
        "root": {"path": "rootfs", "readonly": False},
        "hostname": hostname[:_HOSTNAME_CHARS_MAX].rstrip("._-"),
        "mounts": [
            {"destination": where, "type": kind, "source": source, "options": list(options)}
            for where, kind, source, options in _MOUNTS
        ],
        "linux": {
            "cgroupsPath": cgroups_path,
            "namespaces": [{"type": name} for name in namespaces],
            "maskedPaths": list(_MASKED_PATHS),
            "readonlyPaths": list(_READONLY_PATHS),
            # The runtime itself adds the usual devices (null, zero, tty and so on).
            "resources": {
                "devices": [{"allow": False, "access": "rwm"}],
                **_limits(spec.resources),
            },
        },
    }


def plain_config(spec: Spec, *, home: str, annotation_prefix: str) -> Config:
    """A process of the host, or a simulated one: no root, no namespaces; it begins in `home`."""
    annotations = {
        name: text
        for name, text in spec.annotations.items()
        if name.startswith(annotation_prefix) and annotation_prefix
    }
    return {
        "ociVersion": _OCI_VERSION,
        "process": _process(spec, cwd=home),
        "annotations": annotations,
        "linux": {"resources": _limits(spec.resources)},
    }


def _process(spec: Spec, *, cwd: str) -> Config:
    return {
        "terminal": False,
        "args": list(spec.args),
        "env": _environment(spec.env),
        "cwd": spec.cwd or cwd,
        "noNewPrivileges": True,
    }


def _environment(env: Mapping[str, str]) -> list[str]:
    ours = [] if "PATH" in env else [_PATH]
    return [*ours, *(f"{name}={value}" for name, value in env.items())]


def _limits(resources: Resources) -> Config:
    limits: Config = {}
    if resources.cpu_milli:
        quota_us = max(resources.cpu_milli * _CPU_PERIOD_US // 1000, _CPU_QUOTA_US_MIN)
        limits["cpu"] = {"quota": quota_us, "period": _CPU_PERIOD_US}
    if resources.memory_bytes:
        limits["memory"] = {"limit": resources.memory_bytes}
    return limits
