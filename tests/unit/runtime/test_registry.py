from __future__ import annotations

from pathlib import Path

import pytest

from cubelet.core.faults import CubeletError
from cubelet.core.spec import Resources, Spec
from cubelet.runtime import mounts, probe
from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.registry import build_runtimes


@pytest.fixture
def config(tmp_path: Path) -> RuntimeConfig:
    return RuntimeConfig(state_dir=tmp_path / "state", templates_dir=tmp_path / "templates")


def whys(config: RuntimeConfig) -> dict[str, str]:
    return {one.name: one.why for one in probe.probe(config)}


def without_shimv2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_why_no_shimv2", lambda _: "it is not there")


def test_an_ordinary_user_has_no_shimv2(
    config: RuntimeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert whys(config) == {"shimv2": "needs root", "process": "", "fake": ""}


def test_a_missing_program_is_named(config: RuntimeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setenv("PATH", "/nowhere")
    assert whys(config)["shimv2"] == "containerd-shim-runc-v2 is not installed, or not in PATH"


@pytest.mark.real
def test_a_state_directory_without_overlay_is_told(
    config: RuntimeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert whys(config)["shimv2"] == ""
    monkeypatch.setattr(probe, "overlay_works", lambda _: "Invalid argument")
    assert "no overlay can be mounted in" in whys(config)["shimv2"]
    assert list(config.state_dir.iterdir()) == []


@pytest.mark.real
def test_an_overlay_that_cannot_be_says_why_and_stays_nowhere(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad,folder"
    good.mkdir()
    bad.mkdir()
    assert mounts.overlay_works(good) == ""
    assert mounts.overlay_works(bad) != ""
    assert mounts.mounts_below(tmp_path) == []


def test_the_default_comes_first(config: RuntimeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    without_shimv2(monkeypatch)
    assert list(build_runtimes(config)) == ["process", "fake"]
    chosen = RuntimeConfig(state_dir=config.state_dir, templates_dir=Path("/t"), default="fake")
    assert list(build_runtimes(chosen)) == ["fake", "process"]


@pytest.mark.parametrize(
    ("name", "why"), [("shimv2", "it is not there"), ("vm", "no such runtime")]
)
def test_a_default_that_cannot_be_is_an_error_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, why: str
) -> None:
    without_shimv2(monkeypatch)
    config = RuntimeConfig(state_dir=tmp_path, templates_dir=tmp_path, default=name)
    with pytest.raises(CubeletError, match=why):
        build_runtimes(config)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (Spec(runtime="process", args=()), "nothing to run"),
        (Spec(runtime="process", args=("", "x")), "nothing to run"),
        (Spec(runtime="process", args=("x",), resources=Resources(cpu_milli=-1)), "below 0"),
        (Spec(runtime="process", args=("x",), resources=Resources(memory_bytes=-1)), "below 0"),
        (Spec(runtime="process", args=("x",), cwd="here"), "not absolute"),
        (Spec(runtime="process", args=("x\0",)), "zero byte"),
        (Spec(runtime="process", args=("x",), env={"A=B": ""}), "no name"),
        (Spec(runtime="process", args=("x",), template="mini"), "leave the template out"),
    ],
)
def test_a_spec_that_cannot_be_run_is_refused_before_anything_happens(
    config: RuntimeConfig, monkeypatch: pytest.MonkeyPatch, spec: Spec, why: str
) -> None:
    without_shimv2(monkeypatch)
    runtime = build_runtimes(config)["process"]
    with pytest.raises(CubeletError, match=why):
        runtime.check(spec)
    runtime.check(Spec(runtime="process", args=("x",)))
