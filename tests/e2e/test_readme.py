"""Every command and example that the README shows is run here as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent_process import wait_until

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
#: What is run elsewhere, by name: the first by test_quickstart, the second is running now.
SCRIPTS = {"scripts/quickstart", "scripts/test"}


def section(name: str) -> str:
    found = re.search(rf"<!-- {name}: begin -->(.*)<!-- {name}: end -->", README, re.DOTALL)
    assert found is not None, name
    return found.group(1)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def environment(state_dir: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "STATE": str(state_dir), "PYTHONPATH": str(ROOT)}


def test_every_block_is_run_by_some_test() -> None:
    walked = blocks(section("walkthrough"), "sh")
    others = {block.strip() for block in blocks(README, "sh") if block not in walked}
    assert others == SCRIPTS
    assert blocks(README, "python") == blocks(section("shimclient"), "python")


@pytest.fixture
def agent(state_dir: Path) -> Iterator[dict[str, str]]:
    """The walkthrough's own agent, and the environment that it leaves the reader in."""
    serve = blocks(section("walkthrough"), "sh")[0]
    command, export = serve.strip().splitlines()
    env = environment(state_dir)
    with (state_dir / "log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command.removesuffix('&')}"], env=env, stdout=log, stderr=log
        )
    socket = state_dir / "run" / "cubelet.sock"
    wait_until(socket.exists, what="the agent serves", within_s=20)
    name, value = export.removeprefix("export ").split("=", 1)
    env[name] = value.strip('"').replace("$STATE", str(state_dir))
    yield env
    process.terminate()
    assert process.wait(timeout=40) == 0


def test_the_walkthrough(agent: dict[str, str]) -> None:
    (script,) = blocks(section("walkthrough"), "sh")[1:]
    ran = subprocess.run(
        ["bash", "-euxc", script],
        env=agent,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert ran.returncode == 0, ran.stderr
    assert "demo" in ran.stdout
    assert "PAUSED" in ran.stdout


def test_the_shimclient_example(state_dir: Path) -> None:
    (example,) = blocks(section("shimclient"), "python")
    serve = re.search(r"`(python -m shimclient\.fake serve --address )/tmp/fake\.sock`", README)
    assert serve is not None
    env = environment(state_dir)
    socket = state_dir / "fake.sock"
    with subprocess.Popen(["bash", "-c", f"exec {serve.group(1)}{socket}"], env=env) as shim:
        try:
            wait_until(socket.exists, what="the fake shim serves")
            ran = subprocess.run(
                [sys.executable, "-c", example, str(socket)],
                env=env,
                capture_output=True,
                text=True,
                check=False,
                timeout=30,
            )
        finally:
            shim.terminate()
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == ["PAUSED", "may it have run? True is it over? True"]
