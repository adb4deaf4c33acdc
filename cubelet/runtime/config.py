"""What the runtimes are told by whoever builds the agent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeConfig:
    """Places and programs. `state_dir` is absolute; one agent at a time owns it."""

    state_dir: Path
    templates_dir: Path
    #: The runtime of a Spec that names none. "": the best that is usable here.
    default: str = ""
    #: A name in PATH or an absolute path. Of a wrapper, it is what the shim calls in runc's place.
    runc_binary: str = "runc"
    shim_binary: str = "containerd-shim-runc-v2"
    #: How long a removal waits for the shim to do it, before it is done without the shim.
    ask_timeout_s: float = 5.0

    @property
    def runc_root(self) -> Path:
        """Where runc keeps its state, one folder for each namespace: ours alone."""
        return self.state_dir / "runc"

    @property
    def snapshots_dir(self) -> Path:
        """Where snapshots lie, a folder each."""
        return self.state_dir / "snapshots"

    @property
    def templates_cache(self) -> Path:
        """Where tars are unpacked."""
        return self.state_dir / "unpacked"

    @property
    def events_socket(self) -> Path:
        """Where shims send their events."""
        return self.state_dir / "run" / "events.sock"
