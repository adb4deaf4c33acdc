"""Which runtimes are usable on this host, found out by trying and not by guessing."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cubelet.runtime.cgroups import MOUNTED_AT
from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.kinds import FAKE, PROCESS, SHIMV2
from cubelet.runtime.mounts import overlay_works


@dataclass(frozen=True, slots=True)
class Availability:
    """One runtime, and why it cannot be used here; `why` is empty where it can."""

    name: str
    why: str

    @property
    def usable(self) -> bool:
        """Whether it can be used."""
        return not self.why


def probe(config: RuntimeConfig) -> list[Availability]:
    """All runtimes, the preferred ones first. Blocks for some milliseconds."""
    trials = {SHIMV2: _why_no_shimv2(config), PROCESS: _why_no_shims(), FAKE: _why_no_shims()}
    return [Availability(name, why) for name, why in trials.items()]


def _why_no_shimv2(config: RuntimeConfig) -> str:
    """Each thing it stands on in turn; the first that is missing is told."""
    if why := _why_no_shims():
        return why
    if os.geteuid() != 0:
        return "needs root"
    for binary in (config.shim_binary, config.runc_binary):
        if shutil.which(binary) is None:
            return f"{binary} is not installed, or not in PATH"
    if not _has_cgroups():
        return f"no control groups that can be written are mounted at {MOUNTED_AT}"
    return _why_no_overlay(config.state_dir)


def _why_no_shims() -> str:
    """What every runtime stands on: processes that can be told apart for certain."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError) as error:
        return f"needs Linux 5.3 or newer, with pidfd_open: {error}"
    return "" if Path("/proc/self/stat").exists() else "needs /proc"


def _has_cgroups() -> bool:
    """Whether there is a freezer of either version that we can write to."""
    found = (MOUNTED_AT / "cgroup.controllers", MOUNTED_AT / "freezer")
    return any(path.exists() and os.access(path.parent, os.W_OK) for path in found)


def _why_no_overlay(state_dir: Path) -> str:
    """Mounts one where the sandboxes' ones will be: not every file system can carry one."""
    try:
        state_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".probe-", dir=state_dir) as folder:
            why = overlay_works(Path(folder))
    except OSError as error:
        return f"cannot try an overlay in {state_dir}: {error.strerror}"
    return f"no overlay can be mounted in {state_dir}: {why}" if why else ""
