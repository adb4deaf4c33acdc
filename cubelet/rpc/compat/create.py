"""CubeboxMgr.Create: one container, checked and translated to a spec.

What a field asks for is done or refused, never passed over: a mount or a security setting that is
dropped silently is found out too late. `_HONOURED` lists what is done.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from cubelet.core.bindings import RUNTIME_ID_KEY, TEMPLATE_ID_KEY
from cubelet.core.ids import check_id
from cubelet.core.spec import HttpHook, Resources, Spec
from cubelet.engine.facade import Agent
from cubelet.rpc.compat import keys
from cubelet.rpc.compat.answers import refuse
from cubelet.rpc.compat.honoured import refuse_fields, unhonoured
from cubelet.rpc.compat.quantity import positive
from cubelet.rpc.idempotency import compat_key
from cubelet.rpc.validate import bad, check_annotation_names, check_port, check_spec
from cubelet.services.cubebox.v1 import cubebox_pb2 as pb

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9-]{0,63}")
_PORTS_MAX = 4
_MILLI = Fraction(1, 1000)
_BYTE = Fraction(1)

#: CubeSandbox's names of runtimes, as ours. "" is the agent's default.
_RUNTIMES: Mapping[str, str] = {"cube": "", "runc": "shimv2"}

#: Fields that are acted upon, or that say nothing about what the sandbox is or may do.
_HONOURED = frozenset(
    {
        *("requestID", "containers", "annotations", "labels", "exposed_ports"),
        *("runtime_handler", "instance_type", "network_type", "namespace"),
    }
)
_HONOURED_IN_CONTAINER = frozenset(
    {
        *("name", "image", "command", "args", "working_dir", "envs", "resources", "prestop"),
        *("annotations", "id"),
    }
)


async def create(
    agent: Agent, request: pb.RunCubeSandboxRequest, reply: pb.RunCubeSandboxResponse
) -> None:
    """Make and start the sandbox; answer when it runs."""
    spec = spec_of(request, snapshot=_snapshot(agent, request.annotations))
    desired = request.annotations.get(keys.DESIRED_ID, "")
    if desired:
        check_id(desired, keys.DESIRED_ID)
    if request.namespace:
        check_id(request.namespace, "namespace")
    key = compat_key("Create", request, request.requestID)
    record = await agent.create(spec, sandbox_id=desired, namespace=request.namespace, key=key)
    reply.sandboxID = record.id


def _snapshot(agent: Agent, annotations: Mapping[str, str]) -> str:
    """What to start from: the snapshot that is named, else the template, if it is a snapshot."""
    named, template = (annotations.get(key, "") for key in (RUNTIME_ID_KEY, TEMPLATE_ID_KEY))
    if named or not template:
        return named
    return template if any(known.id == template for known in agent.snapshots()) else ""


def spec_of(request: pb.RunCubeSandboxRequest, *, snapshot: str = "") -> Spec:
    """The checked spec that a request asks for; INVALID_ARGUMENT names the field that is wrong."""
    container = _only_container(request)
    _check_honoured(request, container)
    _check_ports(request.exposed_ports)
    check_annotation_names(request.annotations)
    labels = dict(request.labels)
    if request.instance_type:
        labels[keys.PRODUCT] = request.instance_type
    spec = Spec(
        runtime=_RUNTIMES.get(request.runtime_handler, request.runtime_handler),
        template=container.image.image,
        snapshot=snapshot,
        args=(*container.command, *container.args),
        env={variable.key: variable.value for variable in container.envs},
        cwd=container.working_dir,
        resources=_resources(container.resources),
        labels=labels,
        annotations=dict(request.annotations) | _notes(container),
        prestop=tuple(_hooks(container.prestop)),
    )
    return check_spec(spec)


def _only_container(request: pb.RunCubeSandboxRequest) -> pb.ContainerConfig:
    if len(request.containers) != 1:
        raise refuse(
            f"containers has {len(request.containers)} entries: give exactly one, this agent runs "
            "one container in a sandbox"
        )
    container = request.containers[0]
    if not _NAME.fullmatch(container.name):
        rule = "use 1 to 64 letters, digits and -, and no - first"
        raise bad("containers[0].name", container.name, rule)
    return container


def _check_honoured(request: pb.RunCubeSandboxRequest, container: pb.ContainerConfig) -> None:
    inside = unhonoured(container, _HONOURED_IN_CONTAINER)
    refuse_fields(*unhonoured(request, _HONOURED), *(f"containers[0].{name}" for name in inside))


def _check_ports(ports: Sequence[int]) -> None:
    if len(ports) > _PORTS_MAX:
        raise bad("exposed_ports", list(ports), f"use at most {_PORTS_MAX}")
    for port in ports:
        check_port("exposed_ports", port)


def _resources(resource: pb.Resource) -> Resources:
    """The limits: what the *_limit fields say, else the request itself, which is required."""
    for name, text in (("cpu", resource.cpu), ("mem", resource.mem)):
        if not text:
            raise bad(f"resources.{name}", text, "it is required, such as 500m or 512Mi")
    cpu_milli = positive("resources.cpu", resource.cpu, unit=_MILLI)
    memory_bytes = positive("resources.mem", resource.mem, unit=_BYTE)
    if resource.cpu_limit:
        cpu_milli = positive("resources.cpu_limit", resource.cpu_limit, unit=_MILLI)
    if resource.mem_limit:
        memory_bytes = positive("resources.mem_limit", resource.mem_limit, unit=_BYTE)
    return Resources(cpu_milli=cpu_milli, memory_bytes=memory_bytes)


def _hooks(prestop: pb.PreStop) -> Iterator[HttpHook]:
    """The hook, unless it has no time or no host: then the original skips it too."""
    get = prestop.lifecyle_handler.http_get
    if prestop.termination_grace_period_ms <= 0 or not get.host:
        return
    yield HttpHook(
        host=get.host,
        port=get.port,
        path=get.path or "/",
        headers={header.name: header.value for header in get.http_headers},
        timeout_s=prestop.termination_grace_period_ms / 1000,
    )


def _notes(container: pb.ContainerConfig) -> dict[str, str]:
    """What List has to give back word for word."""
    resource = container.resources
    notes = {
        keys.NOTED_NAME: container.name,
        keys.NOTED_IMAGE: container.image.image,
        keys.NOTED_CPU: resource.cpu,
        keys.NOTED_MEM: resource.mem,
        keys.NOTED_CPU_LIMIT: resource.cpu_limit,
        keys.NOTED_MEM_LIMIT: resource.mem_limit,
    }
    return {key: text for key, text in notes.items() if text}
