"""Start shim binaries and clean up after dead ones, as containerd does; read what they print."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from google.protobuf.message import DecodeError

from shimclient.api import bootstrap_pb2, task_pb2
from shimclient.errors import BootstrapError
from shimclient.task import TASK_SERVICES, Exit, exit_of

#: An answer is an address and a little more; what is longer is not looked at.
ANSWER_BYTES_MAX: Final = 64 << 10
_QUOTE_CHARS_MAX: Final = 500
_KILL_GRACE_S: Final = 1.0
_LOWEST_VERSION: Final = min(TASK_SERVICES)


@dataclass(frozen=True, slots=True)
class ShimAddress:
    """Where a shim serves; `version` is that of its Task service, `protocol` mostly "ttrpc"."""

    address: str
    version: int
    protocol: str


@dataclass(frozen=True, slots=True)
class _Ended:
    """What a shim binary left behind when it ended well."""

    stdout: bytes
    stderr: bytes


class Run(Protocol):
    """How a shim's binary is run; `run_binary` is the plain way."""

    async def __call__(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        files: Sequence[int],
        timeout_s: float,
    ) -> int:
        """Run it to its end with these files as its three streams; its exit status.

        Raises TimeoutError where that takes longer, after killing it; BootstrapError where it
        cannot be run. Has killed it too where it is cancelled.
        """


async def run_binary(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    files: Sequence[int],
    timeout_s: float,
) -> int:
    """Run a command as a process of its own; see `Run`."""
    stdin, stdout, stderr = files
    try:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=cwd, env=env, stdin=stdin, stdout=stdout, stderr=stderr
        )
    except OSError as error:
        raise BootstrapError(f"cannot run {command[0]} in {cwd}: {error.strerror}") from error
    try:
        async with asyncio.timeout(timeout_s):
            return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            async with asyncio.timeout(_KILL_GRACE_S):
                await process.wait()


def parse_start_answer(stdout: bytes) -> ShimAddress:
    """The address in what ``start`` printed; raises BootstrapError.

    Tried in turn: a protobuf BootstrapResult (containerd 2.3 and newer), JSON (2.0 to 2.2), and the
    address alone as text (1.x), which means version 2 over ttrpc.
    """
    if not stdout.strip():
        raise BootstrapError("the shim printed no address")
    answer = _from_protobuf(stdout) or _from_json(stdout) or ShimAddress(_text(stdout), 2, "ttrpc")
    if not answer.address.startswith("unix:"):
        raise BootstrapError(f"expected the address of a unix socket, got {_quote(stdout)}")
    return answer


async def start_shim(  # noqa: PLR0913 - one keyword for each thing containerd gives a shim
    command: Sequence[str],
    *,
    namespace: str,
    id: str,  # noqa: A002 - the flag's name
    bundle: Path,
    events_address: str = "",
    containerd_address: str = "",
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout_s: float,
    run: Run = run_binary,
) -> ShimAddress:
    """Run ``command ... start`` in the bundle; where the shim then serves.

    The bundle must have its `log` FIFO: open a LogPipe before, and keep it while the shim lives, as
    a shim without a reader there may block. `containerd_address` need not exist, but is part of the
    socket's name: two agents on one machine must not share it. `env` is added to our environment.
    After `timeout_s` the starter alone is killed: a server that it has forked may live on. `run`
    replaces `run_binary`. Raises BootstrapError, with what the binary said.
    """
    if not (bundle / "log").exists():
        raise BootstrapError(f"{bundle} has no log FIFO; open a LogPipe there first")
    variables = {
        "TTRPC_ADDRESS": events_address,
        "GRPC_ADDRESS": containerd_address,
        "NAMESPACE": namespace,
        "MAX_SHIM_VERSION": "2",
        **(env or {}),
    }
    arguments = _arguments(command, namespace, id, containerd_address)
    ended = await _run(
        [*arguments, "start"],
        cwd=bundle,
        env=variables,
        stdin=stdin,
        timeout_s=timeout_s,
        run=run,
    )
    try:
        answer = parse_start_answer(ended.stdout)
    except BootstrapError as error:
        raise BootstrapError(f"{command[0]}: {error}{_stderr_part(ended)}") from None
    if answer.protocol != "ttrpc" or answer.version not in TASK_SERVICES:
        raise BootstrapError(
            f"{command[0]} speaks {answer.protocol} with task version {answer.version};"
            f" we speak ttrpc with versions {sorted(TASK_SERVICES)}"
        )
    return answer


async def delete_shim(
    command: Sequence[str],
    *,
    namespace: str,
    id: str,  # noqa: A002 - the flag's name
    bundle: Path,
    containerd_address: str = "",
    timeout_s: float,
    run: Run = run_binary,
) -> Exit:
    """Run ``command ... delete``: clean up after a dead shim, kill its task; how that ended.

    containerd's runc shim looks for a folder named `id` beside the bundle, so name the bundle that.
    `run` replaces `run_binary`. Raises BootstrapError, with what the binary said.
    """
    arguments = _arguments(command, namespace, id, containerd_address)
    ended = await _run(
        [*arguments, "-bundle", str(bundle), "delete"],
        cwd=bundle,
        env={"NAMESPACE": namespace, "GRPC_ADDRESS": containerd_address},
        timeout_s=timeout_s,
        run=run,
    )
    try:
        return exit_of(task_pb2.DeleteResponse.FromString(ended.stdout))
    except DecodeError:
        raise BootstrapError(
            f"{command[0]}: expected a DeleteResponse, got {_quote(ended.stdout)}"
            f"{_stderr_part(ended)}"
        ) from None


def _arguments(command: Sequence[str], namespace: str, task_id: str, address: str) -> list[str]:
    return [*command, "-namespace", namespace, "-id", task_id, "-address", address]


def _from_protobuf(stdout: bytes) -> ShimAddress | None:
    try:
        result = bootstrap_pb2.BootstrapResult.FromString(stdout)
    except DecodeError:
        return None
    if not (result.version and result.address):
        return None  # Text that happens to parse has neither of the two.
    return ShimAddress(result.address, result.version, result.protocol or "ttrpc")


def _from_json(stdout: bytes) -> ShimAddress | None:
    try:
        fields = json.loads(stdout)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        raise BootstrapError(f"expected a JSON object, got {_quote(stdout)}")
    version, address = fields.get("version"), fields.get("address")
    if not isinstance(version, int) or version < _LOWEST_VERSION or not isinstance(address, str):
        raise BootstrapError(
            f"expected JSON with a version of at least {_LOWEST_VERSION} and an address,"
            f" got {_quote(stdout)}"
        )
    return ShimAddress(address, version, str(fields.get("protocol") or "ttrpc"))


def _text(stdout: bytes) -> str:
    """The one line that an old shim prints; anything else is quoted back."""
    text = stdout.decode(errors="replace").strip()
    if len(text.split()) != 1 or not text.isprintable() or "\ufffd" in text:
        raise BootstrapError(f"expected one address and nothing else, got {_quote(stdout)}")
    return text


async def _run(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    run: Run,
    stdin: bytes = b"",
    timeout_s: float,
) -> _Ended:
    """Run a shim binary to its end; raises BootstrapError where that is not exit status 0.

    Its three streams are memory files: a server process that forgets to let go of its starter's
    output cannot keep us waiting for an end of file.
    """
    with ExitStack() as stack:
        files = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
        for file in files:
            stack.callback(os.close, file)
        os.pwrite(files[0], stdin, 0)
        exit_code, variables = None, {**os.environ, **env}
        with suppress(TimeoutError):
            exit_code = await run(command, cwd=cwd, env=variables, files=files, timeout_s=timeout_s)
        stdout, stderr = (os.pread(file, ANSWER_BYTES_MAX, 0) for file in files[1:])
    if exit_code == 0:
        return _Ended(stdout, stderr)
    said = _quote(stdout + stderr) if stdout or stderr else "nothing"
    how = (
        f"did not end within {timeout_s} s and was killed; it"
        if exit_code is None
        else f"ended with exit status {exit_code} and"
    )
    raise BootstrapError(f"{command[0]} {command[-1]} {how} said {said}")


def _stderr_part(ended: _Ended) -> str:
    return f"; on stderr: {_quote(ended.stderr)}" if ended.stderr.strip() else ""


def _quote(said: bytes) -> str:
    """What a binary said, on one line, bounded, with nothing in it that a terminal would obey."""
    text = repr(said.decode(errors="replace").strip())
    return text if len(text) <= _QUOTE_CHARS_MAX else f"{text[:_QUOTE_CHARS_MAX]}... (cut)"
