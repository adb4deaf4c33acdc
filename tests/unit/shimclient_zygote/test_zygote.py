"""A shim that is forked is as one that was executed, and no failure of a zygote does anything."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from shimclient import zygote as module
from shimclient.bootstrap import Run, ShimAddress, run_binary, start_shim
from shimclient.client import Client
from shimclient.errors import BootstrapError
from shimclient.logpipe import LogPipe
from shimclient.skeleton.zygote import ORDER_BYTES_MAX
from shimclient.task import Task
from shimclient.zygote import Zygote, ZygoteFailed
from tests.support.labs import runs
from tests.support.polling import eventually

FAKE = (sys.executable, "-m", "shimclient.fake")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Started in whatever folder, the program is found."""
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="zygote-") as short:  # pytest's own are too long.
        yield Path(short)


@pytest.fixture
async def zygote(folder: Path) -> AsyncIterator[Zygote]:
    zygote = await Zygote.start(FAKE, cwd=folder)
    yield zygote
    with contextlib.suppress(ProcessLookupError):
        os.kill(zygote.pid, signal.SIGCONT)
    await zygote.close()
    assert not zygote.alive
    for address in addresses_in(folder):
        await shut_down(address)


def bundle(folder: Path, name: str) -> Path:
    path = folder / name
    path.mkdir(exist_ok=True)
    return path


def addresses_in(folder: Path) -> list[ShimAddress]:
    """Where the shims of all bundles serve."""
    return [ShimAddress(path.read_text(), 2, "ttrpc") for path in folder.glob("*/address")]


async def start(folder: Path, name: str, run: Run, *, timeout_s: float = 20.0) -> ShimAddress:
    """Start a fake shim whose id, and bundle, are of this name."""
    with LogPipe(bundle(folder, name), lambda _: None):
        return await start_shim(
            FAKE,
            namespace="ns",
            id=name,
            bundle=folder / name,
            containerd_address="/agent",
            env={"SHIM_SOCKET_DIR": str(folder), "MARK": name},
            timeout_s=timeout_s,
            run=run,
        )


async def shut_down(address: ShimAddress) -> None:
    client = await Client.connect(address.address)
    await Task(client).shutdown("", local_timeout_s=20)
    await client.wait_closed()


def portrait(bundle: Path) -> dict[str, object]:
    """Everything that a start decides about the process of the one shim that works in a bundle."""
    (pid,) = works_in(bundle)
    shim = psutil.Process(pid)
    proc = Path(f"/proc/{pid}")
    links = [str(entry.readlink()) for entry in (proc / "fd").iterdir()]
    kept = ("SigBlk", "SigIgn", "SigCgt", "Umask", "NoNewPrivs")
    return {
        # Where there is more room than words, it is filled up with nothing.
        "words": [word.replace(bundle.name, "NAME") for word in shim.cmdline() if word],
        "leads its session": os.getsid(pid) == pid,
        "parent": shim.ppid(),
        "open": sorted(link.partition(":")[0].replace(bundle.name, "NAME") for link in links),
        "status": [
            line for line in (proc / "status").read_text().splitlines() if line.startswith(kept)
        ],
        "limits": (proc / "limits").read_text(),
        "threads": shim.num_threads(),
    }


async def test_a_forked_shim_is_as_an_executed_one(folder: Path, zygote: Zygote) -> None:
    await start(folder, "forked", zygote.run)
    await start(folder, "executed", run_binary)
    assert portrait(folder / "forked") == portrait(folder / "executed")
    assert psutil.Process(zygote.pid).children() == []


async def test_the_environment_is_that_of_the_order_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("SHIM_FAKE_SCRIPT", "broken")
        zygote = await Zygote.start(FAKE, cwd=folder)
        with pytest.raises(BootstrapError, match="SHIM_FAKE_SCRIPT"):
            await start(folder, "box", zygote.run)
    await shut_down(await start(folder, "box", zygote.run))
    await zygote.close()


async def test_a_second_start_finds_the_shim_of_the_first(folder: Path, zygote: Zygote) -> None:
    first = await start(folder, "box", zygote.run)
    assert await start(folder, "box", zygote.run) == first
    assert await start(folder, "box", run_binary) == first


async def test_many_starts_at_once(folder: Path, zygote: Zygote) -> None:
    names = [f"box{number}" for number in range(8)]
    addresses = await asyncio.gather(*(start(folder, name, zygote.run) for name in names))
    assert len({one.address for one in addresses}) == len(names)
    await eventually(
        lambda: psutil.Process(zygote.pid).children() == [], what="all starters are reaped"
    )


async def test_shims_outlive_their_zygote(folder: Path) -> None:
    zygote = await Zygote.start(FAKE, cwd=folder)
    address = await start(folder, "box", zygote.run)
    await zygote.close()
    assert not zygote.alive
    await shut_down(address)


@pytest.mark.parametrize("forked", [True, False])
async def test_a_failed_start_says_why(folder: Path, zygote: Zygote, *, forked: bool) -> None:
    (bundle(folder, "box") / "fake.json").write_text('{"failpoints": "pause=boom"}')
    run = zygote.run if forked else run_binary
    with pytest.raises(BootstrapError, match=r"ended with exit status 1 and said .*fake\.json"):
        await start(folder, "box", run)
    assert not (folder / "box" / "address").exists()
    await start(folder, "another", zygote.run)  # It was the start that failed, not the zygote.


async def test_what_takes_too_long_is_killed(folder: Path, zygote: Zygote) -> None:
    await start(folder, "warm", zygote.run)
    os.mkfifo(bundle(folder, "box") / "config.json")  # To read it is to wait for ever.
    with pytest.raises(BootstrapError, match=r"did not end within 0\.1 s and was killed"):
        await start(folder, "box", zygote.run, timeout_s=0.1)
    assert works_in(folder / "box") == []


async def test_a_start_that_is_cancelled_is_over(folder: Path, zygote: Zygote) -> None:
    fifo = bundle(folder, "box") / "config.json"
    os.mkfifo(fifo)
    starting = asyncio.create_task(start(folder, "box", zygote.run))
    # Whoever opens it to write waits for a reader: the starter was told to begin.
    with await asyncio.to_thread(fifo.open, "w"):
        starting.cancel()
        await asyncio.wait({starting})
        assert starting.cancelled()
        assert works_in(folder / "box") == []


async def test_a_start_that_is_cancelled_before_it_began_does_nothing(
    folder: Path, zygote: Zygote
) -> None:
    bundle(folder, "box")
    await start(folder, "warm", zygote.run)
    os.kill(zygote.pid, signal.SIGSTOP)
    starting = asyncio.create_task(start(folder, "box", zygote.run))
    await asyncio.wait({starting}, timeout=0.1)
    starting.cancel()
    await asyncio.wait({starting})
    os.kill(zygote.pid, signal.SIGCONT)
    await start(folder, "next", zygote.run)  # Orders are obeyed in turn: the first one's was, too.
    await eventually(
        lambda: psutil.Process(zygote.pid).children() == [], what="the starter has given up"
    )
    assert works_in(folder / "box") == []
    assert not (folder / "box" / "address").exists()


async def test_a_starter_that_is_killed_is_told(folder: Path, zygote: Zygote) -> None:
    os.mkfifo(bundle(folder, "box") / "config.json")
    starting = asyncio.create_task(start(folder, "box", zygote.run))
    await eventually(lambda: works_in(folder / "box") != [], what="a starter is at work")
    while not starting.done():  # It may still wait for the word to begin.
        for pid in works_in(folder / "box"):
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.01)
    with pytest.raises(BootstrapError, match="was killed before it had an answer"):
        await starting


async def test_what_a_hung_zygote_wakes_up_to_is_not_done_any_more(
    folder: Path, zygote: Zygote, monkeypatch: pytest.MonkeyPatch
) -> None:
    await start(folder, "warm", zygote.run)
    monkeypatch.setattr(module, "FORK_TIMEOUT_S", 0.1)
    os.kill(zygote.pid, signal.SIGSTOP)
    with pytest.raises(ZygoteFailed, match=r"no starter was forked within 0\.1 s"):
        await start(folder, "box", zygote.run)
    monkeypatch.setattr(module, "FORK_TIMEOUT_S", 20.0)
    os.kill(zygote.pid, signal.SIGCONT)
    await start(folder, "next", zygote.run)  # Orders are obeyed in turn: the last one's was, too.
    await eventually(
        lambda: psutil.Process(zygote.pid).children() == [], what="both starters are reaped"
    )
    assert works_in(folder / "box") == []
    assert not (folder / "box" / "address").exists()


async def test_a_zygote_that_is_killed_fails_all_who_wait(folder: Path, zygote: Zygote) -> None:
    await start(folder, "warm", zygote.run)
    os.kill(zygote.pid, signal.SIGSTOP)
    starts = [asyncio.create_task(start(folder, f"box{n}", zygote.run)) for n in range(3)]
    await asyncio.wait(starts, timeout=0.1)
    os.kill(zygote.pid, signal.SIGKILL)
    for one in starts:
        with pytest.raises(ZygoteFailed, match="no starter was forked"):
            await one
    with pytest.raises(ZygoteFailed, match="takes no order"):
        await start(folder, "late", zygote.run)


async def test_a_starter_does_not_need_its_zygote_any_more(folder: Path, zygote: Zygote) -> None:
    fifo = bundle(folder, "box") / "config.json"
    os.mkfifo(fifo)
    starting = asyncio.create_task(start(folder, "box", zygote.run))
    # Whoever opens it to write waits for a reader: the starter was told to begin.
    writer = await asyncio.to_thread(fifo.open, "w")
    os.kill(zygote.pid, signal.SIGKILL)
    await eventually(lambda: not zygote.alive, what="the zygote is dead")
    fifo.unlink()
    with writer:
        writer.write("{}")
    assert (await starting).address.startswith("unix://")


async def test_an_order_that_cannot_be_given(folder: Path, zygote: Zygote) -> None:
    async def ask(*command: str, env: dict[str, str]) -> int:
        return await zygote.run(command, cwd=folder, env=env, files=(0, 1, 2), timeout_s=1)

    with pytest.raises(ZygoteFailed, match="not the zygote's program"):
        await ask("another", "start", env={})
    with pytest.raises(ZygoteFailed, match=f"over {ORDER_BYTES_MAX}"):
        await ask(*FAKE, "start", env={"BIG": "x" * ORDER_BYTES_MAX})
    with pytest.raises(ZygoteFailed, match="no starter was forked"):
        await ask(*FAKE, "-id", "x" * 2000, "start", env={})  # No room to show it.
    await start(folder, "box", zygote.run)


async def test_what_is_no_zygote_has_failed(folder: Path) -> None:
    with pytest.raises(ZygoteFailed, match="cannot run /nowhere"):
        await Zygote.start(["/nowhere"], cwd=folder)
    dead = await Zygote.start(["/bin/false"], cwd=folder)
    with pytest.raises(ZygoteFailed):
        await dead.run(["/bin/false", "start"], cwd=folder, env={}, files=(0, 1, 2), timeout_s=1)
    await dead.close()


async def test_it_ends_with_who_started_it(folder: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from shimclient.zygote import Zygote\n"
        "async def main():\n"
        "    zygote = await Zygote.start(sys.argv[2:], cwd=Path(sys.argv[1]))\n"
        "    print(zygote.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    agent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, str(folder), *FAKE), stdout=asyncio.subprocess.PIPE
    )
    assert agent.stdout is not None
    pid = int(await agent.stdout.readline())
    assert runs(pid)
    agent.kill()
    await agent.communicate()
    await eventually(lambda: not runs(pid), what="the zygote ends")


def works_in(folder: Path) -> list[int]:
    """The processes whose working directory it is."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if path.readlink() == folder:
                found.append(int(path.parent.name))
    return found
