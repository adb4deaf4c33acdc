"""The global options, as commands get them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import click

from cubelet import places


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the agent is (empty: at its default local socket), and how long to wait for answers."""

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

    @property
    def is_local(self) -> bool:
        """Whether `place` is a local door, where ttrpc is spoken. Everywhere else it is gRPC."""
        return self.is_socket and self.place.endswith(places.LOCAL_SUFFIX)


def _default_socket() -> str:
    try:
        state_dir = places.default_state_dir(env=os.environ, uid=os.geteuid())
    except places.NoStateDir as problem:
        message = f"where the agent listens is not known ({problem}); name it with --address"
        raise click.UsageError(message) from problem
    return places.local_socket(state_dir)
