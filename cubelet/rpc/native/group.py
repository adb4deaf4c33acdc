"""What every group of the RPCs of cubelet.api.v1.Sandboxes stands on."""

from __future__ import annotations

from cubelet.api.v1 import sandboxes_pb2 as pb
from cubelet.api.v1 import sandboxes_pb2_grpc
from cubelet.core.model import Record
from cubelet.engine.facade import Agent
from cubelet.rpc.native.messages import sandbox_to_wire


class Group(sandboxes_pb2_grpc.SandboxesServicer):
    """Some of the service's RPCs. They raise CubeletError; the gate makes statuses of them."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def _shown(self, record: Record) -> pb.Sandbox:
        """The sandbox with the conditions that hold now."""
        return sandbox_to_wire(record, self._agent.conditions(record))
