"""Limits on what users send: each refused text names the field and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from cubelet.core.bindings import (
    INVALID_BASE,
    LABEL_KEYS,
    RESTORE_ID_KEY,
    RUNTIME_ID_KEY,
    TEMPLATE_ID_KEY,
)
from cubelet.core.faults import Code, CubeletError
from cubelet.core.spec import HttpHook, Resources, Spec
from cubelet.rpc.validate import ARGS, HOOKS_MAX, LABELS, check_spec


def spec(**change: Any) -> Spec:
    return Spec(**({"runtime": "fake", "args": ("sh",)} | change))


def hook(**change: Any) -> Spec:
    sound: dict[str, Any] = {
        "host": "localhost",
        "port": 80,
        "path": "/",
        "headers": {},
        "timeout_s": 1.0,
    }
    return spec(prestop=(HttpHook(**(sound | change)),))


@pytest.mark.parametrize(
    "sound",
    [
        spec(),
        spec(runtime="", template="images/busybox:1.36", cwd="/"),
        spec(env={"A": "", "b.c-D_1": "x y\nz"}),
        spec(labels={"k" * 256: "v" * 4096}),
        spec(snapshot="snap-1.2", annotations=dict.fromkeys(LABEL_KEYS, "snap")),
        spec(labels={"mine": INVALID_BASE}),
        spec(labels={str(n): "" for n in range(64)}),
        spec(args=("sh", "", "zeile\n" * 10)),
        hook(host="::1"),
        hook(host="10.0.0.2", headers={"X-A": ""}, path="/a?b=%20"),
    ],
)
def test_what_is_sound_passes_unchanged(sound: Spec) -> None:
    assert check_spec(sound) is sound


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (spec(snapshot="a/b"), "snapshot 'a/b' is not an id"),
        (spec(snapshot=INVALID_BASE), "snapshot is 'invalid-runtime-restore-base': it means"),
        *(
            (spec(labels={name: "x"}), f"label name is '{name}': only the agent writes it")
            for name in sorted(LABEL_KEYS)
        ),
        *(
            (spec(annotations={name: INVALID_BASE}), f"annotation {name} is 'invalid-runtime")
            for name in (RUNTIME_ID_KEY, RESTORE_ID_KEY, TEMPLATE_ID_KEY)
        ),
        (spec(runtime="a/b"), "runtime 'a/b' is not an id"),
        (spec(template="../../etc"), 'template is .*without ".."'),
        (spec(template="a\nb"), r"template is 'a\\nb'"),
        (spec(args=()), r"args is \[\]: name the program"),
        (spec(args=("", "x")), "args is .*name the program"),
        (spec(args=("a\0b",)), "args is .*NUL"),
        (spec(args=("a",) * (ARGS.entries + 1)), "args is '1025 entries': use at most 1024"),
        (spec(args=("a" * (64 << 10),) * 3), "args is '196608 bytes in all'"),
        (spec(args=("a" * ((64 << 10) + 1),)), "args is .*65537 bytes; use at most 65536"),
        (spec(env={"": "x"}), "env name is ''"),
        (spec(env={"1A": "x"}), "env name is '1A'"),
        (spec(env={"A=B": "x"}), "env name is 'A=B'"),
        (spec(env={"A\n": "x"}), "env name is"),
        (spec(env={"A": "x\0"}), "env is .*NUL"),
        (spec(cwd="tmp"), "cwd is 'tmp': use an absolute path"),
        (spec(cwd="/a\0"), "cwd is .*NUL"),
        (spec(cwd="/" + "a" * 4095), "cwd is .*4096 bytes"),
        (spec(resources=Resources(cpu_milli=-1)), "resources.cpu_milli is -1"),
        (spec(resources=Resources(memory_bytes=-1)), "resources.memory_bytes is -1"),
        (spec(labels={str(n): "" for n in range(65)}), "labels is '65 entries': use at most 64"),
        (spec(labels={"k": "v" * (LABELS.text_bytes + 1)}), "labels is .*use at most 4096"),
        (spec(labels={"k" * 257: ""}), "labels name is .*use at most 256"),
        (spec(labels={"": "v"}), "labels name is ''"),
        (spec(labels={"a\nb": "v"}), "labels name is"),
        (spec(annotations={"a\tb": "v"}), "annotations name is"),
        (hook(host=""), r"prestop\[0\].host is ''"),
        (hook(host="a b"), r"prestop\[0\].host"),
        (hook(host="a\r\nX: y"), r"prestop\[0\].host"),
        (hook(port=0), r"prestop\[0\].port is 0"),
        (hook(port=65536), r"prestop\[0\].port is 65536"),
        (hook(path="x"), r"prestop\[0\].path is 'x'"),
        (hook(path="/a b"), r"prestop\[0\].path"),
        (hook(path="/a\r\nX: y"), r"prestop\[0\].path"),
        (hook(headers={"A:": "x"}), r"prestop\[0\].headers is 'A:'"),
        (hook(headers={"A": "x\r\nB: y"}), r"prestop\[0\].headers\[A\]"),
        (hook(timeout_s=-1.0), r"prestop\[0\].timeout is -1.0"),
        (hook(timeout_s=3601.0), r"prestop\[0\].timeout"),
        (spec(prestop=hook().prestop * (HOOKS_MAX + 1)), "prestop is '17 hooks'"),
    ],
)
def test_what_is_wrong_is_named(wrong: Spec, text: str) -> None:
    with pytest.raises(CubeletError, match=text) as caught:
        check_spec(wrong)
    assert caught.value.fault.code is Code.INVALID_ARGUMENT
    assert "\n" not in caught.value.fault.message
    assert len(caught.value.fault.message) < 300
