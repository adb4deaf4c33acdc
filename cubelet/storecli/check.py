"""cubelet store check."""

from __future__ import annotations

from pathlib import Path

import click

from cubelet.cli.tables import escaped
from cubelet.commandline import EXIT_FAILED, config_option, state_dir_option
from cubelet.runtime.identity import boot_id
from cubelet.store.offline.verify import Report, verify
from cubelet.storecli.counts import counted
from cubelet.storecli.held import file_option, held


@click.command
@config_option
@state_dir_option
@file_option
def check(*, config_path: Path | None, state_dir: str | None, file: Path | None) -> None:
    """Verify the whole store: a line for each thing that is wrong, and last what is in it.

    Changes nothing.
    """
    with held(config_path, state_dir, file) as path:
        report = verify(path, boot_id=boot_id())
    for problem in report.problems:
        click.echo(escaped(str(problem)))
    click.echo(escaped(_summary(report)))
    if report.found:
        raise click.exceptions.Exit(EXIT_FAILED)


def _summary(report: Report) -> str:
    verdict = "good"
    if report.found:
        shown = len(report.problems)
        rest = f", the first {shown} of them above" if shown < report.found else ""
        verdict = f"{report.found} problem{'s' if report.found > 1 else ''}{rest}"
    return f"{verdict}; {counted(report.counts)}"
