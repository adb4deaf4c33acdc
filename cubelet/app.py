"""The composition root: the daemon's command line, and the one place that knows every part.

`cubelet serve` puts the parts together in the order in which they depend on each other, runs until
it is told to stop, and takes them apart in the reverse order. Nobody imports this module.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import resource
import signal
import sqlite3
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import click
import structlog

from cubelet import __version__
from cubelet.commandline import (
    EXIT_FAILED,
    config_option,
    die,
    faults_end_it,
    load_config,
    state_dir_option,
)
from cubelet.config import Config
from cubelet.core.faults import Code, Reason, error
from cubelet.crashpoints import reach
from cubelet.engine.clock import RandomChance, RandomIds, SystemClock
from cubelet.engine.engine import Engine
from cubelet.engine.health import Health
from cubelet.lock import StateLock, prepare_state_dir
from cubelet.obs import log
from cubelet.obs.metrics import Metrics
from cubelet.obs.store_series import StoreFigures
from cubelet.places import STORE_NAME
from cubelet.rpc.server import RpcServer
from cubelet.rpc.services import Needs
from cubelet.rpc.sockets import CannotListen, Listen
from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.events import EventPump
from cubelet.runtime.hooks import HttpHooks
from cubelet.runtime.probe import probe
from cubelet.runtime.registry import build_runtimes
from cubelet.store.sqlite import SqliteStore
from cubelet.storecli.group import store as store_commands

_log = structlog.get_logger("cubelet.app")

#: A handler that is still there after the drain waits for nothing any more.
_SERVER_GRACE_S = 1.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cubelet")
def main() -> None:
    """Run the node agent for pausable sandboxes; cubecli is the tool that talks to it.

    Exit codes: 0 stopped as asked, 1 failed, 2 wrong command line or configuration, 6 another agent
    has the state directory.
    """


@main.command()
@config_option
@state_dir_option
@click.option("--socket", type=click.Path(resolve_path=True), help="The unix socket to serve on.")
@click.option("--tcp", help="HOST:PORT on the loopback to serve on as well.")
@click.option("--runtime", help="The runtime of sandboxes that name none.")
def serve(
    *,
    config_path: Path | None,
    state_dir: str | None,
    socket: str | None,
    tcp: str | None,
    runtime: str | None,
) -> None:
    """Serve until SIGTERM. A second one does not wait for operations that still run."""
    options = {
        "state_dir": state_dir,
        "server.socket": socket,
        "server.tcp": tcp,
        "runtime.default": runtime,
    }
    config = load_config(config_path, options)
    log.configure(config.log.level, sys.stderr)
    _allow_all_files()
    try:
        with faults_end_it(), asyncio.Runner(loop_factory=_fast_loop()) as runner:
            runner.run(_serve(config))
    except CannotListen as failed:
        die(str(failed), EXIT_FAILED)


@main.command()
@config_option
@state_dir_option
def runtimes(*, config_path: Path | None, state_dir: str | None) -> None:
    """Say which runtimes can be used here, and of the others, why not."""
    config = load_config(config_path, {"state_dir": state_dir})
    for one in probe(_runtime_config(config)):
        click.echo(f"{one.name:<10} {'usable' if one.usable else f'not usable: {one.why}'}")


def _fast_loop() -> type[asyncio.AbstractEventLoop] | None:
    """Choose uvloop's loop where it is installed (extra `fast`); it is never needed."""
    try:
        loop: type[asyncio.AbstractEventLoop] = importlib.import_module("uvloop").Loop
    except ImportError:
        return None
    return loop


def _allow_all_files() -> None:
    """Use all the descriptors that we may: each sandbox takes two or three of them."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(config: Config) -> None:
    asked = _stop_signals()
    gc.disable()  # What is put together now is there for good; to collect it is vain.
    async with AsyncExitStack() as parts:
        engine, server = await _assemble(config, parts)
        _calm_collector()
        _log.info("ready", version=__version__, state_dir=config.state_dir)
        await asked.get()
        reach("app.stop.asked")
        impatient = asyncio.create_task(asked.get())
        parts.callback(impatient.cancel)
        await _stop(engine, server, impatient, grace_s=config.server.shutdown_grace_s)
        reach("app.drain.ended")
    reach("app.parts.closed")


def _calm_collector() -> None:
    """Let the collector pass over what is there for good, and come less often for the rest.

    Records and messages die by their reference counts; a collection in the middle of a call only
    makes it late. Figures: 41 to 63 ms for a full one over 100,000 records; while 10,000 were put
    together, half of the agent's work was the collector's.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()


def _stop_signals() -> asyncio.Queue[signal.Signals]:
    """Each SIGTERM and SIGINT from here on, in order."""
    asked: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.put_nowait, number)
    return asked


async def _assemble(config: Config, parts: AsyncExitStack) -> tuple[Engine, RpcServer]:
    """Build everything from the lock up to the sockets; `parts` takes it apart in reverse."""
    state_dir = Path(config.state_dir)
    prepare_state_dir(state_dir)
    parts.callback(StateLock(state_dir).release)
    reach("app.lock.taken")
    clock, ids, boot_id = SystemClock(), RandomIds(), _boot_id()
    store = await SqliteStore.open(
        state_dir / STORE_NAME, boot_id=boot_id, now_ns=clock.now().wall_ns
    )
    parts.push_async_callback(store.close)
    reach("app.store.opened")
    runtimes = build_runtimes(_runtime_config(config))
    for runtime in runtimes.values():
        parts.push_async_callback(runtime.close)
    reach("app.runtimes.built")
    hooks = HttpHooks()
    parts.callback(hooks.close)
    engine = Engine(
        store=store,
        runtimes=runtimes,
        hooks=hooks,
        clock=clock,
        ids=ids,
        chance=RandomChance(),
        policy=config.policy,
        boot_id=boot_id,
    )
    parts.push_async_callback(engine.close)
    await engine.start(remove_orphans=config.orphans.remove_at_start)
    reach("app.engine.started")
    events = EventPump(_runtime_config(config).events_socket, engine.hint, engine.relist)
    parts.push_async_callback(events.close)
    await events.start()
    reach("app.events.heard")
    needs = Needs(
        agent=engine,
        clock=clock,
        ids=ids,
        metrics=_metrics(store, engine.health),
        sqlite_version=sqlite3.sqlite_version,
    )
    listen = Listen(
        socket_path=Path(config.server.socket),
        local_path=Path(config.server.local_socket),
        tcp=config.server.tcp,
    )
    server = RpcServer(needs, listen)
    parts.push_async_callback(server.stop, 0)
    await server.start()
    reach("app.sockets.served")
    return engine, server


def _metrics(store: SqliteStore, health: Health) -> Metrics:
    metrics = Metrics()
    metrics.watch_store(
        StoreFigures(
            degraded=lambda: health.condition is not None,
            failures=lambda: health.failures,
            transactions=lambda: store.writer.transactions,
            turned_away=lambda: store.writer.refused,
            retained=lambda: health.retained,
        )
    )
    return metrics


async def _stop(
    engine: Engine, server: RpcServer, impatient: asyncio.Task[signal.Signals], *, grace_s: float
) -> None:
    """Refuse new work, see running operations end, answer their callers; then hang up."""
    await server.drain()
    drain = asyncio.create_task(engine.drain(grace_s))
    await asyncio.wait({drain, impatient}, return_when=asyncio.FIRST_COMPLETED)
    if drain.done():
        _log.info("drained", left_open=drain.result())
        await server.stop(_SERVER_GRACE_S)
    else:
        drain.cancel()
        _log.warning("not_drained", why="a second signal came")


def _runtime_config(config: Config) -> RuntimeConfig:
    return RuntimeConfig(
        state_dir=Path(config.state_dir),
        templates_dir=Path(config.runtime.templates_dir),
        default=config.runtime.default,
        runc_binary=config.runtime.runc_binary,
        shim_binary=config.runtime.shim_binary,
    )


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError as failed:
        message = f"{_BOOT_ID} cannot be read: {failed.strerror}; is /proc mounted?"
        raise error(Code.FAILED_PRECONDITION, Reason.STATE_DIR_UNUSABLE, message) from failed


main.add_command(store_commands)


if __name__ == "__main__":
    main()
