"""Lets a script be called by its name: it goes on in this checkout's own environment, if there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def enter() -> None:
    """Run this script again with .venv's Python, unless it runs there or there is none."""
    venv = ROOT / ".venv"
    python = venv / "bin" / "python"
    if Path(sys.prefix) != venv and python.is_file():
        os.execv(python, [str(python), *sys.argv])  # noqa: S606  # No shell is wanted.
