"""What the commands of the daemon's binary share: options, exit codes, how one ends that fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import click

from cubelet.config import Config, ConfigError, load
from cubelet.core.faults import CubeletError, Reason

#: What `cubelet` exits with, besides 0 and click's own 2 for a wrong command line.
EXIT_FAILED = 1
EXIT_BAD_CONFIG = 2
EXIT_STATE_DIR_TAKEN = 6

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    envvar="CUBELET_CONFIG",
    help="A TOML file; docs/configuration.md has its keys.",
)
state_dir_option = click.option(
    "--state-dir",
    type=click.Path(resolve_path=True),
    help="Where records, sandboxes and sockets are.",
)


def load_config(config_path: Path | None, options: Mapping[str, str | None]) -> Config:
    """The configuration with these options over it, by dotted key; ends the process if wrong."""
    given = {key: value for key, value in options.items() if value is not None}
    try:
        return load(config_path, given, env=os.environ, uid=os.geteuid())
    except ConfigError as wrong:
        die(str(wrong), EXIT_BAD_CONFIG)


@contextmanager
def faults_end_it() -> Iterator[None]:
    """End the process with the message and the exit code of a CubeletError."""
    try:
        yield
    except CubeletError as failed:
        taken = failed.fault.reason is Reason.STATE_DIR_TAKEN
        die(str(failed), EXIT_STATE_DIR_TAKEN if taken else EXIT_FAILED)


def die(message: str, code: int) -> NoReturn:
    """Say one line on stderr and exit."""
    click.echo(f"cubelet: {message}", err=True)
    sys.exit(code)
