"""The held first process of a sandbox: waits for the word, then becomes the sandbox's program.

Run by `spawn` as a script of its own (``python -I -S launch.py PLAN GATE REPORT SHIM_PID``), so
that nothing of the shim, neither its memory nor its sockets nor its handlers, is in the sandbox.
Standard library only. PLAN is a file descriptor with a JSON object (args, env, cwd, root, uid, gid,
groups, no_new_privileges), GATE is read for one byte, and REPORT gets the text of what went wrong;
it closes without a word once the program runs.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS = 38
_PATH_DEFAULT = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: What shells answer for a program that cannot be executed, and for one that is not there.
_CANNOT_EXECUTE, _NOT_FOUND = 126, 127


def main() -> int:
    """Hold, then execute; the exit status where that fails."""
    plan_file, gate, report, shim_pid = (int(word) for word in sys.argv[1:])
    libc = ctypes.CDLL(None, use_errno=True)
    _die_with(libc, shim_pid)
    with os.fdopen(plan_file, "rb") as file:
        plan = json.load(file)
    if os.read(gate, 1) != b"\n":
        return _CANNOT_EXECUTE  # The shim has gone or does not want us.
    os.close(gate)
    os.set_inheritable(report, False)
    # Python ignores some, and whoever started the agent may have others ignored: not the sandbox.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    try:
        _prepare(libc, plan)
        _die_with(libc, shim_pid)  # A change of user has cleared it.
        _execute(plan["args"], dict(entry.split("=", 1) for entry in plan["env"]))
    except OSError as error:
        os.write(report, _words_for(error, plan).encode())
        return _NOT_FOUND if isinstance(error, FileNotFoundError) else _CANNOT_EXECUTE
    return _CANNOT_EXECUTE


def _die_with(libc: ctypes.CDLL, shim_pid: int) -> None:
    """Have the kernel kill us when the shim dies; leave at once if it has died already."""
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != shim_pid:
        sys.exit(_CANNOT_EXECUTE)


def _prepare(libc: ctypes.CDLL, plan: dict) -> None:  # type: ignore[type-arg]
    if plan["root"]:
        os.chroot(plan["root"])
        os.chdir("/")
    if plan["uid"] is not None:
        os.setgroups(plan["groups"])
        os.setresgid(plan["gid"], plan["gid"], plan["gid"])
        os.setresuid(plan["uid"], plan["uid"], plan["uid"])
    if plan["no_new_privileges"]:
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.chdir(plan["cwd"])


def _execute(args: list[str], env: dict[str, str]) -> None:
    """Become the program; raises the error of the last place where it was looked for."""
    name = args[0]
    folders = [""] if "/" in name else env.get("PATH", _PATH_DEFAULT).split(":")
    refused: OSError | None = None
    for folder in folders:
        try:
            os.execve(os.path.join(folder, name), args, env)  # noqa: PTH118, S606
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            refused = error
    raise refused or FileNotFoundError


def _words_for(error: OSError, plan: dict) -> str:  # type: ignore[type-arg]
    name = plan["args"][0]
    if error.filename == plan["cwd"]:
        return f"cwd {plan['cwd']!r}: {error.strerror}"
    if isinstance(error, FileNotFoundError) and not error.filename:
        where = "" if "/" in name else " in PATH"
        return f'exec: "{name}": not found{where}'
    return f'exec: "{name}": {error.strerror}'


if __name__ == "__main__":
    sys.exit(main())
