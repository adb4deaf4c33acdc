"""Dice that fall the same way each time."""

from __future__ import annotations

from random import Random


def dice_of(seed: int | str) -> Random:
    """A stream of its own for each seed. Nothing here is a secret."""
    return Random(seed)  # noqa: S311 - a simulation wants to be repeated.
