"""Every limit on what users send, for both APIs: a refusal says field, value and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cubelet.core.bindings import (
    INVALID_BASE,
    LABEL_KEYS,
    RESTORE_ID_KEY,
    RUNTIME_ID_KEY,
    TEMPLATE_ID_KEY,
)
from cubelet.core.faults import Code, CubeletError, Reason, error
from cubelet.core.ids import check_id
from cubelet.core.spec import HttpHook, Resources, Spec


@dataclass(frozen=True, slots=True)
class Limit:
    """For a list or map: entries, bytes in each text, bytes in all texts together."""

    entries: int
    text_bytes: int
    total_bytes: int


#: The kernel takes 128 KiB for one argument or variable (MAX_ARG_STRLEN); ours is for all of them,
#: because a sandbox's record holds them and is written with each change.
ARGS = Limit(entries=1024, text_bytes=64 << 10, total_bytes=128 << 10)
ENV = Limit(entries=1024, text_bytes=64 << 10, total_bytes=128 << 10)
LABELS = Limit(entries=64, text_bytes=4 << 10, total_bytes=32 << 10)
ANNOTATIONS = Limit(entries=128, text_bytes=64 << 10, total_bytes=128 << 10)
HEADERS = Limit(entries=32, text_bytes=4 << 10, total_bytes=16 << 10)

KEY_BYTES_MAX = 256
PATH_BYTES_MAX = 4095
HOOKS_MAX = 16
HOOK_TIMEOUT_S_MAX = 3600.0
#: The largest number that the wire, the store and the kernel's files all hold.
INT64_MAX = (1 << 63) - 1
PORT_MAX = 65535

#: Annotations in which the compatible API keeps what only its own replies show.
RESERVED_PREFIX = "cubelet.compat/"

#: Annotations that name a snapshot, and that the choice of a commit's base falls back on.
_SNAPSHOT_ANNOTATIONS = (RUNTIME_ID_KEY, RESTORE_ID_KEY, TEMPLATE_ID_KEY)

#: Kubernetes' grammar for environment variables.
_ENV_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?|::1?|::[0-9A-Fa-f:.]+")
_HTTP_PATH = re.compile(r"/[!-~]*")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def bad(field: str, value: object, rule: str) -> CubeletError:
    """The refusal of one field, on one line; a long value is cut."""
    shown = repr(value)
    shown = shown if len(shown) <= 100 else f"{shown[:100]}…"  # noqa: PLR2004
    return error(Code.INVALID_ARGUMENT, Reason.BAD_REQUEST, f"{field} is {shown}: {rule}")


def check_spec(spec: Spec) -> Spec:
    """Give a translated spec back if all of it is within grammar and limits, else raise."""
    if spec.runtime:
        check_id(spec.runtime, "runtime")
    _check_template(spec.template)
    _check_args(spec.args)
    _check_env(spec.env)
    if spec.cwd:
        _check_path("cwd", spec.cwd)
    _check_resources(spec.resources)
    check_labels(spec.labels)
    _check_map("annotations", spec.annotations, ANNOTATIONS)
    _check_bindings(spec)
    if len(spec.prestop) > HOOKS_MAX:
        raise bad("prestop", f"{len(spec.prestop)} hooks", f"use at most {HOOKS_MAX}")
    for number, hook in enumerate(spec.prestop):
        _check_hook(f"prestop[{number}]", hook)
    return spec


def check_snapshot_id(text: str, field: str) -> str:
    """Give a snapshot's id back if it is one; the sentinel of a lost base never is."""
    _refuse_sentinel(text, field)
    return check_id(text, field)


def check_annotation_names(annotations: Mapping[str, str]) -> None:
    """Refuse names that are the agent's own."""
    for name in annotations:
        if name.startswith(RESERVED_PREFIX):
            raise bad("annotation name", name, f"{RESERVED_PREFIX} is reserved; use another name")


def check_labels(labels: Mapping[str, str]) -> None:
    """Refuse labels beyond grammar and limits."""
    _check_map("labels", labels, LABELS)


def _check_bindings(spec: Spec) -> None:
    """Refuse what would pass for a binding that the agent never made."""
    for name in sorted(LABEL_KEYS & spec.labels.keys()):
        raise bad("label name", name, "only the agent writes it; leave it out")
    for name in _SNAPSHOT_ANNOTATIONS:
        _refuse_sentinel(spec.annotations.get(name, ""), f"annotation {name}")
    if spec.snapshot:
        check_snapshot_id(spec.snapshot, "snapshot")


def _refuse_sentinel(text: str, field: str) -> None:
    if text == INVALID_BASE:
        raise bad(field, text, "it means that there is no base; use another name")


def _check_template(template: str) -> None:
    if not template:
        return
    _check_text("template", template, PATH_BYTES_MAX)
    if not template.isprintable() or ".." in template.split("/"):
        raise bad("template", template, 'use a name or an absolute path, without ".." in it')


def _check_args(args: tuple[str, ...]) -> None:
    if not args or not args[0]:
        raise bad("args", list(args), "name the program to run")
    _check_texts("args", args, ARGS)


def _check_env(env: Mapping[str, str]) -> None:
    _check_texts("env", (text for item in env.items() for text in item), ENV, per_entry=2)
    for name in env:
        if not _ENV_NAME.fullmatch(name):
            raise bad("env name", name, "use letters, digits and . _ -, and no digit first")


def _check_resources(resources: Resources) -> None:
    for field, value in (
        ("resources.cpu_milli", resources.cpu_milli),
        ("resources.memory_bytes", resources.memory_bytes),
    ):
        if not 0 <= value <= INT64_MAX:
            raise bad(field, value, "use 0 for no limit, or more")


def _check_hook(field: str, hook: HttpHook) -> None:
    if not _HOST.fullmatch(hook.host):
        raise bad(f"{field}.host", hook.host, "use a host name or an IP address")
    check_port(f"{field}.port", hook.port)
    if len(hook.path) > PATH_BYTES_MAX or not _HTTP_PATH.fullmatch(hook.path):
        raise bad(f"{field}.path", hook.path, "begin with / and percent-encode the rest")
    if not 0 < hook.timeout_s <= HOOK_TIMEOUT_S_MAX:
        rule = f"use seconds above 0, at most {HOOK_TIMEOUT_S_MAX:g}"
        raise bad(f"{field}.timeout", hook.timeout_s, rule)
    _check_map(f"{field}.headers", hook.headers, HEADERS)
    for name, value in hook.headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise bad(f"{field}.headers", name, "use a header name as HTTP knows it")
        if not (value.isascii() and (value.isprintable() or not value)):
            raise bad(f"{field}.headers[{name}]", value, "use printable ASCII")


def check_port(field: str, port: int) -> None:
    """Refuse what is no TCP port."""
    if not 1 <= port <= PORT_MAX:
        raise bad(field, port, f"use a port from 1 to {PORT_MAX}")


def _check_path(field: str, path: str) -> None:
    _check_text(field, path, PATH_BYTES_MAX)
    if not path.startswith("/"):
        raise bad(field, path, "use an absolute path")


def _check_map(field: str, mapping: Mapping[str, str], limit: Limit) -> None:
    _check_texts(field, (text for item in mapping.items() for text in item), limit, per_entry=2)
    for name in mapping:
        if not name or not name.isprintable():
            raise bad(f"{field} name", name, "use printable characters, at least one")
        _check_text(f"{field} name", name, KEY_BYTES_MAX)


def _check_texts(field: str, texts: Iterable[str], limit: Limit, *, per_entry: int = 1) -> None:
    count, total = 0, 0
    for text in texts:
        count += 1
        total += _check_text(field, text, limit.text_bytes)
    if count > limit.entries * per_entry:
        raise bad(field, f"{count // per_entry} entries", f"use at most {limit.entries}")
    if total > limit.total_bytes:
        raise bad(field, f"{total} bytes in all", f"use at most {limit.total_bytes}")


def _check_text(field: str, text: str, bytes_max: int) -> int:
    """The text's size in bytes, once it is small enough and has no NUL in it."""
    size = len(text.encode())
    if size > bytes_max:
        raise bad(field, text, f"it has {size} bytes; use at most {bytes_max}")
    if "\0" in text:
        raise bad(field, text, "leave the NUL character out")
    return size
