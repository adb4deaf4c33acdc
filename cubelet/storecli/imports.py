"""cubelet store import."""

from __future__ import annotations

from pathlib import Path

import click

from cubelet.cli.tables import escaped
from cubelet.commandline import config_option, state_dir_option
from cubelet.store.offline.imports import import_store
from cubelet.storecli.counts import counted
from cubelet.storecli.held import held_to_fill


@click.command("import")
@config_option
@state_dir_option
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path))
def import_(*, config_path: Path | None, state_dir: str | None, source: Path) -> None:
    """Make a store of an export or a backup, in a state directory that has none.

    The whole FILE is checked before there is a store; what is wrong with it is told by its line.
    """
    with held_to_fill(config_path, state_dir) as path:
        counts = import_store(source, path)
    click.echo(escaped(f"{path}: {counted(counts)}"))
