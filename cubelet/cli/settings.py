"""The global options, as commands get them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import click


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the agent is (empty: at its default socket) and how long to wait for an answer."""

    address: str
    timeout_s: float

    @property
    def place(self) -> str:
        """The address for people: an absolute socket path, or HOST:PORT."""
        if not self.address:
            return _default_socket()
        for prefix in ("unix://", "unix:"):
            if self.address.startswith(prefix):
                return str(Path(self.address.removeprefix(prefix)).absolute())
        return str(Path(self.address).absolute()) if "/" in self.address else self.address

    @property
    def is_socket(self) -> bool:
        """Whether `place` is a path."""
        return self.place.startswith("/")


def _default_socket() -> str:
    from cubelet import config  # noqa: PLC0415  # Only who names no address pays for the import.

    try:
        return config.default_socket(env=os.environ, uid=os.geteuid())
    except config.ConfigError as problem:
        message = f"where the agent listens is not known ({problem}); name it with --address"
        raise click.UsageError(message) from problem
