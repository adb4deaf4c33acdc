"""A runc that is slow on demand: the best fault injector below a real shim.

It is given to the shim as its runtime binary (`binary_name`). A file DIRECTORY/COMMAND.ID makes it
wait that many seconds before it runs the real runc for that container; with .ID.after, it waits
when the real runc is done. Either wait is that process's own, so that nothing outlives its killing.
"""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

_SCRIPT = """#!/bin/bash
for word in "$@"; do
  case "$word" in
    pause|resume) command="$word" ;;
  esac
  last="$word"
done
file="{directory}/$command.$last"
if [ -n "$command" ] && [ -f "$file" ]; then
  echo "$$" > "$file.pid"
  read -rt "$(cat "$file")" <>"{directory}/never"
  echo done > "$file.over"
fi
[ -n "$command" ] && [ -f "$file.after" ] || exec {runc} "$@"
{runc} "$@" || exit
echo "$$" > "$file.pid"
read -rt "$(cat "$file.after")" <>"{directory}/never"
exit 0
"""


class RuncWrapper:
    """The script, and the switches that slow it down."""

    def __init__(self, directory: Path) -> None:
        runc = shutil.which("runc")
        assert runc is not None
        self._directory = directory
        os.mkfifo(directory / "never")
        self.path = directory / "slow-runc"
        self.path.write_text(_SCRIPT.format(directory=directory, runc=runc))
        self.path.chmod(0o755)

    def delay(self, command: str, sandbox_id: str, seconds: float) -> None:
        """Let the next calls of this command for this sandbox wait before they do anything."""
        self._file(command, sandbox_id).write_text(f"{seconds}\n")

    def linger(self, command: str, sandbox_id: str, seconds: float) -> None:
        """Let the next calls do their work at once, and answer so much later."""
        self._file(command, f"{sandbox_id}.after").write_text(f"{seconds}\n")

    def no_delay(self, command: str, sandbox_id: str) -> None:
        """Let it be as fast as it is."""
        self._file(command, sandbox_id).unlink()

    def no_linger(self, command: str, sandbox_id: str) -> None:
        """Let it answer when it is done."""
        self._file(command, f"{sandbox_id}.after").unlink()

    def pid(self, command: str, sandbox_id: str) -> int:
        """The process of a call that has begun."""
        return int(self._file(command, f"{sandbox_id}.pid").read_text())

    def kill(self, command: str, sandbox_id: str) -> None:
        """Kill -9 a call that has begun: before it does anything, or after it has done its work."""
        os.kill(self.pid(command, sandbox_id), signal.SIGKILL)

    def has_begun(self, command: str, sandbox_id: str) -> bool:
        """Whether a delayed call is made, or one that lingers has done its work."""
        return self._file(command, f"{sandbox_id}.pid").exists()

    def has_slept_through(self, command: str, sandbox_id: str) -> bool:
        """Whether a delayed call came to the end of its wait, so was not killed in it."""
        return self._file(command, f"{sandbox_id}.over").exists()

    def _file(self, command: str, sandbox_id: str) -> Path:
        return self._directory / f"{command}.{sandbox_id}"
