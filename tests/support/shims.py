"""Small pretended shims and binaries for tests of the client side."""

from __future__ import annotations

import sys
from pathlib import Path


def python_binary(folder: Path, body: str) -> list[str]:
    """The command of an executable Python script with this body."""
    path = folder / "shim-binary"
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{body}\n")
    path.chmod(0o755)
    return [str(path)]
