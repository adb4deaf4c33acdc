"""The real agent as a process of its own, to be driven, killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import grpc

from cubelet.api.v1 import sandboxes_pb2 as api
from cubelet.api.v1 import sandboxes_pb2_grpc as api_grpc

READY_WITHIN_S = 20.0
_CHANNEL_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
]


def wait_until(condition: Callable[[], bool], *, what: str, within_s: float = 10.0) -> None:
    """Poll another process until the condition holds; fail where it does not."""
    end_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end_s, f"not within {within_s} s: {what}"
        time.sleep(0.02)


class AgentProcess:
    """`cubelet serve` on a state directory that outlives it.

    `module` is another entry to it; `environ` is added to the environment at each start.
    """

    def __init__(self, state_dir: Path, config: str = "", *, module: str = "cubelet.app") -> None:
        self.environ: dict[str, str] = {}
        self._module = module
        self.state_dir = state_dir
        self.socket = state_dir / "run" / "cubelet.sock"
        self.local_socket = state_dir / "run" / "cubelet.ttrpc"
        self.log = state_dir / "agent.log"
        self._config = state_dir / "config.toml"
        self._config.write_text(f'state_dir = "{state_dir}"\n{config}')
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: grpc.Channel | None = None

    def start(self) -> None:
        """Start it and return once it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module, "serve", "--config", str(self._config)],
                env={**os.environ, **self.environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._channel = grpc.insecure_channel(f"unix:{self.socket}", options=_CHANNEL_OPTIONS)
        try:
            grpc.channel_ready_future(self._channel).result(timeout=READY_WITHIN_S)
        except grpc.FutureTimeoutError:
            self.kill()
            raise AssertionError(self.log.read_text()[-4000:]) from None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def api(self) -> api_grpc.SandboxesStub:
        """The native API."""
        assert self._channel is not None
        return api_grpc.SandboxesStub(self._channel)

    @property
    def channel(self) -> grpc.Channel:
        assert self._channel is not None
        return self._channel

    def kill(self) -> None:
        """Kill -9, and see it gone."""
        self._end(signal.SIGKILL)

    def terminate(self, *, within_s: float = 60.0) -> int:
        """SIGTERM, and its exit code."""
        return self._end(signal.SIGTERM, within_s=within_s)

    def restart(self) -> None:
        """Kill -9 and start again on the same state."""
        self.kill()
        self.start()

    def state(self, sandbox_id: str) -> str:
        """The state as Get tells it, without STATE_."""
        sandbox = self.api.Get(api.GetRequest(id=sandbox_id), timeout=20).sandbox
        return api.State.Name(sandbox.state).removeprefix("STATE_")

    def listed(self, sandbox_id: str) -> str:
        """The state as List tells it: from memory, so without a word to the shim."""
        return self.seen(sandbox_id)[0]

    def seen(self, sandbox_id: str) -> tuple[str, set[str]]:
        """State and conditions as List tells them: what the agent found without being asked."""
        (found,) = [it for it in self.api.List(api.ListRequest()).sandboxes if it.id == sandbox_id]
        state = api.State.Name(found.state).removeprefix("STATE_")
        return state, {condition.kind for condition in found.conditions}

    def close(self) -> None:
        """Delete all sandboxes, then end the agent; for clean-up."""
        if self._process is None or self._process.poll() is not None:
            self.start()
        try:
            for sandbox in self.api.List(api.ListRequest(), timeout=10).sandboxes:
                self.api.Delete(api.DeleteRequest(id=sandbox.id), timeout=60)
        finally:
            self.terminate()

    def _end(self, number: int, *, within_s: float = 60.0) -> int:
        assert self._process is not None
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        self._process.send_signal(number)
        try:
            return self._process.wait(timeout=within_s)
        finally:
            self._process.kill()  # Of one that has ended it is nothing.
            self._process.wait()
