"""OCI bundles that real runc runs without an image: the host's own programs, mounted read-only."""

from __future__ import annotations

import json
from pathlib import Path

#: Counts in /out/n, one byte each 20 ms, until it is ended: a freeze shows.
TICKER = "while :; do printf . >> /out/n; sleep 0.02; done"


def write_bundle(bundle: Path, script: str, *, cgroup: str) -> None:
    """A bundle whose container runs a shell script as root; /out there is `bundle/out` here."""
    (bundle / "rootfs").mkdir(parents=True)
    (bundle / "out").mkdir()
    programs = [name for name in ("/bin", "/lib", "/lib64", "/usr") if Path(name).exists()]
    mounts = [_bind(name, name, "ro") for name in programs]
    config = {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/sh", "-c", script],
            "env": ["PATH=/usr/bin:/bin"],
            "cwd": "/",
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            *mounts,
            _bind(str(bundle / "out"), "/out", "rw"),
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")],
        },
    }
    (bundle / "config.json").write_text(json.dumps(config))


def _bind(source: str, destination: str, mode: str) -> dict[str, object]:
    options = ["rbind", mode]
    return {"destination": destination, "type": "bind", "source": source, "options": options}
