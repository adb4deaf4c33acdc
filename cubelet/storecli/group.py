"""The group `cubelet store`."""

from __future__ import annotations

import click

from cubelet.storecli.check import check
from cubelet.storecli.dump import dump
from cubelet.storecli.exports import export
from cubelet.storecli.imports import import_


@click.group
def store() -> None:
    """Check, show, export and import the store while no agent runs.

    Exit codes: 0 done, and nothing is wrong; 1 failed, or something is wrong; 2 wrong command line
    or configuration; 6 an agent has the state directory.
    """


for _command in (check, dump, export, import_):
    store.add_command(_command)
