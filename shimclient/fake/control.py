"""The control service: change a fake shim's script while it runs, see what its VMs really do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shimclient.api import fake_pb2, task_pb2
from shimclient.errors import Code, StatusError
from shimclient.fake.failpoints import FailpointError, format_duration, parse_failpoints
from shimclient.fake.protocol import CONTROL_SERVICE
from shimclient.fake.script import parse_times
from shimclient.server import CallContext, Method
from shimclient.skeleton.service import Services

if TYPE_CHECKING:
    from shimclient.fake.service import FakeService


class _Control:
    """The handlers; none of them waits for anything."""

    def __init__(self, service: FakeService) -> None:
        self._service = service

    async def set(self, request: fake_pb2.SetRequest, _: CallContext) -> fake_pb2.ScriptReply:
        """Lay failpoints and times over the present ones, all or none; code 3 for bad ones."""
        try:
            points = parse_failpoints(request.failpoints)
            times_ms = parse_times(dict(request.times))
        except FailpointError as error:
            raise StatusError(Code.INVALID_ARGUMENT, str(error)) from error
        self._service.points.update(points)
        self._service.times_ms.update(times_ms)
        return self._script()

    async def get(self, _request: task_pb2.Empty, _: CallContext) -> fake_pb2.ScriptReply:
        """What is left of the failpoints, the times, and what has fired."""
        return self._script()

    async def status(self, request: fake_pb2.StatusRequest, _: CallContext) -> fake_pb2.StatusReply:
        """What the VM really does."""
        task = self._service.task(request.id)
        return fake_pb2.StatusReply(
            status=task.vm.status,
            pid=task.pid,
            generation=task.vm.generation,
            ticks=task.vm.ticks,
            busy=task.vm.mutex.locked(),
            digest=task.vm.memory.digest,
        )

    def _script(self) -> fake_pb2.ScriptReply:
        times = {name: format_duration(ms) for name, ms in self._service.times_ms.items()}
        points = self._service.points
        return fake_pb2.ScriptReply(failpoints=points.text(), times=times, fired=points.fired)


def control_services(service: FakeService) -> Services:
    """The table for a Server."""
    control = _Control(service)
    return {
        CONTROL_SERVICE: {
            "Set": Method(fake_pb2.SetRequest, control.set),
            "Get": Method(task_pb2.Empty, control.get),
            "Status": Method(fake_pb2.StatusRequest, control.status),
        }
    }
