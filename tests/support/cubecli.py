"""cubecli as a process, and what its `explain` says in both of its forms."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from tests.support.agent_process import AgentProcess

_RUN = "from cubelet.cli.main import main; main()"
_TIMEOUT_S = 60.0
#: It may have become a second later between the two.
_AGE = re.compile(r"\b\d+ s\b")


def cubecli(agent: AgentProcess, *words: str, code: int = 0) -> str:
    """What it prints; it must end with this exit code."""
    ran = subprocess.run(
        [sys.executable, "-c", _RUN, *words],
        env={**os.environ, "CUBELET_ADDRESS": str(agent.socket)},
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
    )
    assert ran.returncode == code, f"{words}: {ran.stderr}"
    return ran.stdout


@dataclass(frozen=True)
class Explained:
    """One explanation, as a document and as a text; the two are asked for one after the other."""

    document: dict[str, Any]
    text: str

    @property
    def why(self) -> str:
        return str(self.document["why"])

    @property
    def state(self) -> str:
        return str(self.document["sandbox"]["state"])

    @property
    def conditions(self) -> dict[str, str]:
        """The evidence of each condition."""
        found = self.document["sandbox"]["conditions"]
        return {condition["kind"]: condition["evidence"] for condition in found}

    @property
    def ways_out(self) -> list[str]:
        return list(self.document["ways_out"])

    @property
    def journal(self) -> list[tuple[str, str]]:
        """Cause and detail of each line, the newest last."""
        return [(entry["cause"], entry["detail"]) for entry in self.document["journal"]]


def explained(agent: AgentProcess, sandbox_id: str) -> Explained:
    """Why the sandbox is in its state; what a person reads says the same as the document."""
    document = json.loads(cubecli(agent, "explain", sandbox_id, "-o", "json"))
    found = Explained(document, cubecli(agent, "explain", sandbox_id))
    text = _AGE.sub("", found.text)
    for part in (found.state, _AGE.sub("", found.why), *found.conditions, *found.ways_out):
        assert part in text, part
    return found
