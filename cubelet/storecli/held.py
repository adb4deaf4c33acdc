"""The store's file, while no agent has it or can take it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from cubelet.commandline import faults_end_it, load_config
from cubelet.lock import LOCK_NAME, StateLock, prepare_state_dir
from cubelet.places import STORE_NAME

file_option = click.option(
    "--file",
    type=click.Path(path_type=Path, resolve_path=True),
    help="A store's file, such as a backup or one in quarantine, instead of the agent's.",
)


@contextmanager
def held(config_path: Path | None, state_dir: str | None, file: Path | None) -> Iterator[Path]:
    """The file that is asked for, to read; ends the process where an agent has it.

    One that is in a state directory, by whatever option, comes with that one's lock.
    """
    if file is None:
        file = Path(load_config(config_path, {"state_dir": state_dir}).state_dir) / STORE_NAME
    with faults_end_it():
        if not (file.parent / LOCK_NAME).exists():  # No agent has ever run there.
            yield file
            return
        lock = StateLock(file.parent)
        try:
            yield file
        finally:
            lock.release()


@contextmanager
def held_to_fill(config_path: Path | None, state_dir: str | None) -> Iterator[Path]:
    """Where the file of the state directory belongs; the directory is made if it is missing."""
    folder = Path(load_config(config_path, {"state_dir": state_dir}).state_dir)
    with faults_end_it():
        prepare_state_dir(folder)
        lock = StateLock(folder)
        try:
            yield folder / STORE_NAME
        finally:
            lock.release()
