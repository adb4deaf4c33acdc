"""Specs from the native wire to the engine's value and back."""

from __future__ import annotations

from google.protobuf import duration_pb2

from cubelet.api.v1 import sandboxes_pb2 as pb
from cubelet.core.spec import HttpHook, Resources, Spec
from cubelet.rpc.validate import RESERVED_PREFIX, check_annotation_names, check_spec

_NANOS = 1_000_000_000


def spec_from_wire(wire: pb.Spec) -> Spec:
    """A checked spec; INVALID_ARGUMENT names the field that is wrong."""
    check_annotation_names(wire.annotations)
    spec = Spec(
        runtime=wire.runtime,
        template=wire.template,
        snapshot=wire.snapshot,
        args=tuple(wire.args),
        env=dict(wire.env),
        cwd=wire.cwd,
        resources=Resources(
            cpu_milli=wire.resources.cpu_milli, memory_bytes=wire.resources.memory_bytes
        ),
        labels=dict(wire.labels),
        annotations=dict(wire.annotations),
        prestop=tuple(_hook(hook) for hook in wire.prestop if _nanos(hook.timeout)),
    )
    return check_spec(spec)


def spec_to_wire(spec: Spec) -> pb.Spec:
    """The spec as its creator wrote it, without what the agent noted beside it. Not to be changed.

    A spec never changes while its sandbox does, so the message of one that is shown often is kept.
    """
    kept = _KEPT.get(id(spec))
    if kept is None:
        if len(_KEPT) >= _KEPT_MAX:
            del _KEPT[next(iter(_KEPT))]
        kept = _KEPT[id(spec)] = (spec, _made(spec))
    return kept[1]


#: By identity, and together with the spec: while that is held, no other can have its identity.
_KEPT: dict[int, tuple[Spec, pb.Spec]] = {}
_KEPT_MAX = 256


def _made(spec: Spec) -> pb.Spec:
    return pb.Spec(
        runtime=spec.runtime,
        template=spec.template,
        snapshot=spec.snapshot,
        args=spec.args,
        env=spec.env,
        cwd=spec.cwd,
        resources=pb.Resources(
            cpu_milli=spec.resources.cpu_milli, memory_bytes=spec.resources.memory_bytes
        ),
        labels=spec.labels,
        annotations=visible(spec),
        prestop=[_hook_to_wire(hook) for hook in spec.prestop],
    )


def visible(spec: Spec) -> dict[str, str]:
    """The annotations that are the creator's own."""
    own = spec.annotations.items()
    return {name: value for name, value in own if not name.startswith(RESERVED_PREFIX)}


def _hook(wire: pb.HttpHook) -> HttpHook:
    return HttpHook(
        host=wire.host,
        port=wire.port,
        path=wire.path or "/",
        headers=dict(wire.headers),
        timeout_s=_nanos(wire.timeout) / _NANOS,
    )


def _hook_to_wire(hook: HttpHook) -> pb.HttpHook:
    seconds, nanos = divmod(round(hook.timeout_s * _NANOS), _NANOS)
    return pb.HttpHook(
        host=hook.host,
        port=hook.port,
        path=hook.path,
        headers=hook.headers,
        timeout=duration_pb2.Duration(seconds=seconds, nanos=nanos),
    )


def _nanos(duration: duration_pb2.Duration) -> int:
    return duration.seconds * _NANOS + duration.nanos
