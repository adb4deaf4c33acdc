"""cubelet store dump."""

from __future__ import annotations

from pathlib import Path

import click

from cubelet.commandline import config_option, state_dir_option
from cubelet.store.offline.dump import dump as lines_of
from cubelet.store.offline.rows import TABLES
from cubelet.storecli.held import file_option, held


@click.command
@config_option
@state_dir_option
@file_option
@click.option(
    "--table",
    "tables",
    multiple=True,
    type=click.Choice(list(TABLES)),
    help="Only this one; may be given again.",
)
@click.option("-n", "--limit", type=click.IntRange(min=1), help="The newest so many journal lines.")
@click.option("--show-env", is_flag=True, help="Show values of variables and of hooks' headers.")
def dump(
    *,
    config_path: Path | None,
    state_dir: str | None,
    file: Path | None,
    tables: tuple[str, ...],
    limit: int | None,
    show_env: bool,
) -> None:
    """Print the store, one JSON object a line for each row, for people and for grep.

    Values of environment variables and of hooks' headers are masked.
    """
    with held(config_path, state_dir, file) as path:
        for line in lines_of(path, tables or TABLES, lines=limit, secrets=show_env):
            click.echo(line)
