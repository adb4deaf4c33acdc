#!/usr/bin/env python3
"""Generate the Python stubs and their types from proto/, beside the packages that own them.

Runs as hatchling's build hook (see pyproject.toml) and by hand after an edit of a .proto file.
A .proto file's path below proto/ is the path of its module: proto/cubelet/api/v1/node.proto becomes
cubelet/api/v1/node_pb2.py. Nothing that is generated is committed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from scripts import in_venv

    in_venv.enter()

from hatchling.builders.hooks.plugin.interface import (  # noqa: E402 - only the environment has it.
    BuildHookInterface,
)


def has_service(source: Path) -> bool:
    """Whether a .proto file declares a gRPC service, so needs a _pb2_grpc module."""
    return any(line.startswith("service ") for line in source.read_text().splitlines())


def generate(root: Path) -> int:
    """Write the stubs of every file below root/proto; the number of files read."""
    protos = root / "proto"
    sources = sorted(protos.rglob("*.proto"))
    include = Path(str(resources.files("grpc_tools"))) / "_proto"
    common = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"-I{protos}",
        f"-I{include}",
        f"--plugin=protoc-gen-mypy={_plugin('protoc-gen-mypy')}",
        f"--plugin=protoc-gen-mypy_grpc={_plugin('protoc-gen-mypy_grpc')}",
    ]
    messages = [f"--python_out={root}", f"--mypy_out=quiet:{root}"]
    services = [f"--grpc_python_out={root}", f"--mypy_grpc_out=quiet:{root}"]
    _run([*common, *messages, *map(str, sources)])
    _run([*common, *services, *(str(source) for source in sources if has_service(source))])
    return len(sources)


def _plugin(name: str) -> Path:
    """Where the generator plug-in stands: beside this interpreter, or in a build's own PATH."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which(name, path=path)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed; install the build requirements")
    return Path(found)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True)


class ProtoBuildHook(BuildHookInterface[Any]):
    """Generates the stubs before a wheel or an editable install is made, and ships them."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Generate, and add what was generated to the wheel although git ignores it."""
        del version
        generate(Path(self.root))
        build_data["artifacts"] += ["*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi"]


def main() -> None:
    """Generate in this checkout."""
    parser = argparse.ArgumentParser(description="Generate the stubs from proto/ in this checkout.")
    parser.parse_args()
    count = generate(ROOT)
    print(f"generated: {count} proto files")


if __name__ == "__main__":
    main()
