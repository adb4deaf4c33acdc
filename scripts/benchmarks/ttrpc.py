"""Unary ttrpc calls a second, client and server in two processes over a unix socket.

Each figure is the best of several rounds, since other work on the machine only ever slows one down.
A bare asyncio echo of as many bytes, unframed and unparsed, is measured in between: it says what
the machine gives today, and the ratio to it what our code costs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import cast

from scripts.benchmarks.ttrpc_server import LOOPS
from scripts.in_venv import ROOT
from shimclient import Client
from shimclient.api.task_pb2 import StateRequest, StateResponse

#: In flight, and the floor in calls a second on a machine with two cores.
FLOORS = {1: 5_000, 64: 15_000}
#: About what the frames of a State call have on the wire.
BARE_BYTES = 128

Round = Callable[[float, int], Awaitable[float]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `scripts/bench ttrpc`."""
    parser.add_argument("--rounds", type=int, default=5, help="rounds a figure (default 5)")
    parser.add_argument("--seconds", type=float, default=0.6, help="length of one round")
    parser.add_argument(
        "--loop",
        choices=LOOPS,
        default="uvloop",
        help="event loop of both ends (default uvloop, which the agent uses where it is installed)",
    )
    for inflight, floor in FLOORS.items():
        parser.add_argument(
            f"--require-{inflight}",
            type=int,
            default=floor,
            metavar="OPS",
            help=f"fail under this many calls a second with {inflight} in flight (default {floor})",
        )


def run(args: argparse.Namespace) -> int:
    """Measure, print, compare; 0 if every floor holds."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        paths = {kind: Path(folder) / kind for kind in ("ttrpc", "bare")}
        for kind, path in paths.items():
            stack.enter_context(_server(kind, path, args.loop))
        with asyncio.Runner(loop_factory=LOOPS[args.loop]) as runner:
            figures, bare = runner.run(_measure(paths, args.rounds, args.seconds))
    good, parts = True, []
    for inflight in FLOORS:
        floor: int = getattr(args, f"require_{inflight}")
        good &= figures[inflight] >= floor
        parts.append(
            f"{inflight} in flight {figures[inflight]:.0f} op/s (floor {floor},"
            f" {figures[inflight] / bare[inflight]:.2f} of a bare echo's {bare[inflight]:.0f})"
        )
    print(f"ttrpc: {args.loop}, {', '.join(parts)}: {'ok' if good else 'UNDER THE FLOOR'}")
    return 0 if good else 1


async def _measure(
    paths: dict[str, Path], rounds: int, seconds: float
) -> tuple[dict[int, float], dict[int, float]]:
    client = await Client.connect(f"unix://{paths['ttrpc']}")
    echo = await BareClient.connect(paths["bare"])
    figures: dict[tuple[str, int], list[float]] = {}
    kinds: dict[str, Round] = {"ttrpc": _calls(client), "bare": echo.round}
    for number in range(rounds + 1):
        for inflight in FLOORS:
            for kind, one_round in kinds.items():
                rate = await one_round(seconds, inflight)
                if number:  # The first round warms up.
                    figures.setdefault((kind, inflight), []).append(rate)
                    print(f"round {number}: {kind}, {inflight} in flight: {rate:.0f} op/s")
    await client.close()
    echo.close()
    calls, bare = ({n: max(figures[kind, n]) for n in FLOORS} for kind in kinds)
    return calls, bare


def _calls(client: Client) -> Round:
    request = StateRequest(id="a" * 32)

    async def one_round(seconds: float, inflight: int) -> float:
        done = 0
        start = time.perf_counter()
        end = start + seconds

        async def worker() -> None:
            nonlocal done
            while time.perf_counter() < end:
                await client.call(
                    "containerd.task.v2.Task", "State", request, StateResponse, local_timeout_s=30
                )
                done += 1

        await asyncio.gather(*(worker() for _ in range(inflight)))
        return done / (time.perf_counter() - start)

    return one_round


class BareClient(asyncio.Protocol):
    """Keeps a number of fixed-size messages in flight and counts those that come back."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._end = 0.0
        self._bytes = 0
        self._inflight = 0
        self._idle: asyncio.Future[None]

    @classmethod
    async def connect(cls, path: Path) -> BareClient:
        """Connect to the bare echo server at the path."""
        loop = asyncio.get_running_loop()
        return (await loop.create_unix_connection(cls, str(path)))[1]

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    async def round(self, seconds: float, inflight: int) -> float:
        """Messages a second over so many seconds."""
        self._idle = asyncio.get_running_loop().create_future()
        self._bytes, self._inflight = 0, inflight * BARE_BYTES
        start = time.perf_counter()
        self._end = start + seconds
        self._transport.write(bytes(self._inflight))
        await self._idle
        return self._bytes / BARE_BYTES / (time.perf_counter() - start)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Send on as much as came, until the round ends."""
        self._bytes += len(data)
        if time.perf_counter() < self._end:
            self._transport.write(data)
            return
        self._inflight -= len(data)
        if not self._inflight:
            self._idle.set_result(None)


@contextlib.contextmanager
def _server(kind: str, path: Path, loop: str) -> Iterator[None]:
    """A server of the kind in a process of its own, listening when this is entered."""
    command = [sys.executable, "-m", "scripts.benchmarks.ttrpc_server", kind, str(path), loop]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None or process.stdout.readline() != "listening\n":
                raise RuntimeError(f"the {kind} server did not start")
            yield
        finally:
            process.terminate()
