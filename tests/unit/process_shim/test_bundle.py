"""What is read from config.json, and how what is wrong in it is said."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cubelet.shims.process.bundle import Limits, User, load_spec
from cubelet.shims.process.errors import BundleError
from cubelet.shims.process.freezer import Choice
from cubelet.shims.process.limits import _wanted


def write(bundle: Path, config: Any) -> Path:
    (bundle / "config.json").write_text(json.dumps(config))
    return bundle


def test_the_least_that_a_bundle_says(tmp_path: Path) -> None:
    spec = load_spec(write(tmp_path, {"process": {"args": ["x"]}}))
    assert (spec.args, spec.env, spec.cwd, spec.root) == (("x",), (), "/", None)
    assert spec.user == User(0, 0, ())
    assert spec.freezer is Choice.AUTO
    assert not spec.no_new_privileges
    assert not spec.limits.any


def test_all_that_is_used(tmp_path: Path) -> None:
    (tmp_path / "root/bin").mkdir(parents=True)
    config = {
        "process": {
            "args": ["x", "y"],
            "env": ["A=1"],
            "cwd": "/z",
            "terminal": False,
            "noNewPrivileges": True,
            "user": {"uid": 1, "gid": 2, "additionalGids": [3]},
        },
        "root": {"path": "root"},
        "linux": {
            "resources": {
                "memory": {"limit": 5},
                "cpu": {"quota": 6, "period": 7, "shares": 8},
            }
        },
        "annotations": {"cubelet.process/freezer": "signals"},
    }
    spec = load_spec(write(tmp_path, config))
    assert (spec.args, spec.env, spec.cwd) == (("x", "y"), ("A=1",), "/z")
    assert spec.root == (tmp_path / "root" if os.geteuid() == 0 else None)
    assert spec.user == User(1, 2, (3,))
    assert spec.limits == Limits(5, 6, 7, 8)
    assert spec.freezer is Choice.SIGNALS
    assert spec.no_new_privileges


def test_an_empty_root_is_the_hosts(tmp_path: Path) -> None:
    (tmp_path / "rootfs").mkdir()
    config = {"process": {"args": ["x"]}, "root": {"path": "rootfs"}}
    assert load_spec(write(tmp_path, config)).root is None


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ([], "expected an object"),
        ({}, "process.args is empty"),
        ({"process": {"args": [""]}}, "process.args is empty"),
        ({"process": {"args": "x"}}, "args is str, expected list"),
        ({"process": {"args": ["x\0"]}}, "without zero bytes"),
        ({"process": {"args": ["x"], "env": ["A"]}}, "'A' is not NAME=VALUE"),
        ({"process": {"args": ["x"], "cwd": "here"}}, "'here' is not absolute"),
        ({"process": {"args": ["x"], "terminal": True}}, "terminal"),
        ({"process": {"args": ["x"], "user": {"uid": True}}}, "uid is bool, expected int"),
        ({"process": {"args": ["x"], "user": {"additionalGids": ["a"]}}}, "'a' is no user or"),
        ({"process": {"args": ["x"], "user": {"uid": -1}}}, "-1 is no user or group number"),
        ({"process": {"args": ["x"]}, "linux": {"resources": 1}}, "resources is int"),
        (
            {"process": {"args": ["x"]}, "annotations": {"cubelet.process/freezer": "ice"}},
            "'ice' is none of auto",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, config: Any, words: str) -> None:
    with pytest.raises(BundleError, match=words) as caught:
        load_spec(write(tmp_path, config))
    assert str(tmp_path / "config.json") in str(caught.value)


@pytest.mark.parametrize("content", [None, b"{", b"\xff", b" " * ((4 << 20) + 1)])
def test_a_file_that_is_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"config\.json"):
        load_spec(tmp_path)


def test_a_limit_of_minus_one_is_none(tmp_path: Path) -> None:
    resources = {"memory": {"limit": -1}, "cpu": {"quota": -1, "shares": 0}}
    config = {"process": {"args": ["x"]}, "linux": {"resources": resources}}
    assert not load_spec(write(tmp_path, config)).limits.any


def test_limits_in_the_words_of_both_versions() -> None:
    limits = Limits(memory_bytes=1 << 20, cpu_quota_us=50_000, cpu_period_us=None, cpu_shares=1024)
    assert _wanted(limits, version=1) == {
        "memory": {"memory.limit_in_bytes": "1048576"},
        "cpu": {
            "cpu.cfs_period_us": "100000",
            "cpu.cfs_quota_us": "50000",
            "cpu.shares": "1024",
        },
    }
    assert _wanted(limits, version=2) == {
        "memory": {"memory.max": "1048576"},
        "cpu": {"cpu.max": "50000 100000", "cpu.weight": "39"},
    }
