"""cubelet store export."""

from __future__ import annotations

import time
from pathlib import Path

import click

from cubelet.cli.tables import escaped
from cubelet.commandline import config_option, state_dir_option
from cubelet.store.offline.exports import export as write
from cubelet.storecli.counts import counted
from cubelet.storecli.held import held


@click.command
@config_option
@state_dir_option
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path))
def export(*, config_path: Path | None, state_dir: str | None, target: Path) -> None:
    """Write all of the store to a new FILE: JSON lines with a checksum, which import takes.

    Environment variables are in it: only its owner may read it.
    """
    with held(config_path, state_dir, None) as path:
        counts = write(path, target, now_ns=time.time_ns())
    click.echo(escaped(f"{target}: {counted(counts)}"))
