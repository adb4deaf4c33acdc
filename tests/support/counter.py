"""A sandbox that counts, and the freezer below it, both read from outside."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from cubelet.api.v1 import sandboxes_pb2 as api
from tests.support.agent_process import AgentProcess, wait_until

COUNT = "i=0; while :; do i=$((i+1)); echo $i > counter.new; mv counter.new counter; done"
#: Long against the counter's step of well under a millisecond.
WATCH_S = 0.2


class Counter:
    """One counting sandbox of an agent."""

    def __init__(self, agent: AgentProcess, sandbox_id: str, template: Path | None = None) -> None:
        self._agent = agent
        self.id = sandbox_id
        spec = api.Spec(args=["/bin/sh", "-c", COUNT], template=str(template) if template else "")
        request = api.CreateRequest(id=sandbox_id, spec=spec)
        self.pid = agent.api.Create(request, timeout=60).sandbox.pid
        wait_until(lambda: self.value() > 0, what="the counter counts")

    @property
    def shim(self) -> psutil.Process:
        """Its shim, while that lives."""
        parent = psutil.Process(self.pid).parent()
        assert parent is not None
        return parent

    def value(self) -> int:
        """What it has counted to; the file is replaced whole, so it is never half a number."""
        path = Path(f"/proc/{self.pid}/cwd/counter")
        return int(path.read_text()) if path.exists() else 0

    def stands_still(self) -> bool:
        """Whether it counted nothing in the time that we watched."""
        before = self.value()
        time.sleep(WATCH_S)
        return self.value() == before

    def goes_on(self) -> bool:
        """Whether it counts."""
        before = self.value()
        wait_until(lambda: self.value() > before, what="the counter goes on")
        return True

    def freezer_state(self) -> str:
        """FROZEN or THAWED by the kernel's own word, on either kind of cgroup."""
        for line in Path(f"/proc/{self.pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "freezer":
                return Path(f"/sys/fs/cgroup/freezer{path}/freezer.state").read_text().strip()
        unified = Path(f"/sys/fs/cgroup{path}/cgroup.events").read_text()
        return "FROZEN" if "frozen 1" in unified else "THAWED"
