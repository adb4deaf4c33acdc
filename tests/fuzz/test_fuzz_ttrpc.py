"""A short run of scripts/fuzz ttrpc, and proof that it would find what it looks for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.fuzzers import ttrpc, ttrpc_checks
from shimclient.calls import CallTable
from shimclient.server_connection import ServerConnection
from shimclient.wire import Decoder, Frame, Oversize

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "fuzz"
SEED = 7


def test_fifty_thousand_mutated_frames() -> None:
    command = [sys.executable, str(SCRIPT), "ttrpc", "--frames", "50000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(": ok")


def test_the_same_seed_gives_the_same_cases() -> None:
    assert ttrpc.make(SEED, 3) == ttrpc.make(SEED, 3)
    assert ttrpc.make(SEED, 3) != ttrpc.make(SEED + 1, 3)


def stays_out_of_step(self: Decoder, at: int, end: int) -> int:
    step = min(self._skip, end - at)
    self._skip -= step
    return at + min(step + 1, end - at)


def forgets_the_tail(self: Decoder, data: bytes) -> list[Frame | Oversize]:
    self._tail.clear()
    return self._cut(data)


def looks_again_and_again(self: Decoder, data: bytes) -> list[Frame | Oversize]:
    data = bytes(self._tail) + data
    self._tail.clear()
    return self._cut(data)


BUGS: dict[str, tuple[type, str, Callable[..., object]]] = {
    "codec-out-of-step": (Decoder, "_skipped", stays_out_of_step),
    "codec-forgets-the-tail": (Decoder, "feed", forgets_the_tail),
    "codec-work-grows-with-the-square": (Decoder, "feed", looks_again_and_again),
    "server-forgets-to-answer": (ServerConnection, "_reply", lambda *_: None),
    "server-ends-the-connection": (ServerConnection, "_refuse", lambda self, *_: self.abort()),
    "client-keeps-calls-after-the-end": (CallTable, "take_all", lambda _self: []),
}


@pytest.mark.parametrize("bug", BUGS)
async def test_a_bug_is_found(monkeypatch: pytest.MonkeyPatch, bug: str) -> None:
    monkeypatch.setattr(*BUGS[bug])
    with pytest.raises(ttrpc_checks.Violation):
        await check_cases(4000)


async def test_the_same_cases_pass_without_a_bug() -> None:
    await check_cases(400)


async def check_cases(count: int) -> None:
    for number in range(count):
        await ttrpc.check(ttrpc.make(SEED, number))
