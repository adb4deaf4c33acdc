"""HTTP hooks before a pause: implements the engine's `Hooks` with the standard library."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException

from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.spec import HttpHook

#: How many hooks of all sandboxes run at once; more of them wait for their turn, and time out.
_AT_ONCE_MAX = 32
_KIND_HEADER = "prestop_type"


class HttpHooks:
    """Makes the GETs in threads of its own, each within its hook's time. Follows no redirect.

    Close it when no sandbox is paused any more.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_AT_ONCE_MAX, thread_name_prefix="hook")

    async def run(self, hook: HttpHook, *, kind: str) -> Fault | None:
        """None for any 2xx status within the hook's time, else why not. Never raises."""
        connection: _Connection | None = None
        try:
            connection = _Connection(hook.host, hook.port, timeout=hook.timeout_s)
            async with asyncio.timeout(hook.timeout_s):
                status = await self._in_thread(connection, hook, kind)
        except TimeoutError:
            return _failed(hook, f"no answer within {hook.timeout_s:g} s", Code.DEADLINE_EXCEEDED)
        except (OSError, HTTPException, ValueError) as error:
            return _failed(hook, str(error) or type(error).__name__, Code.UNAVAILABLE)
        finally:
            if connection is not None:
                connection.give_up()
        if 200 <= status < 300:  # noqa: PLR2004 - the class of the status
            return None
        return _failed(hook, f"answered {status}", Code.FAILED_PRECONDITION)

    async def _in_thread(self, connection: _Connection, hook: HttpHook, kind: str) -> int:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _get, connection, hook, kind)

    def close(self) -> None:
        """Let the threads end; one that still waits ends with its hook's time."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Connection(HTTPConnection):
    """A connection whose thread can be woken from outside.

    A socket's time-out alone does not end it: it starts anew with every byte that comes.
    """

    given_up = False

    def connect(self) -> None:
        """Connect, unless it is given up on by then."""
        super().connect()
        if self.given_up:  # Set before `give_up` looked for the socket, so it is seen here.
            self.close()
            raise TimeoutError

    def give_up(self) -> None:
        """Wake the thread that may still wait for bytes, now or when it is connected."""
        self.given_up = True
        sock: socket.socket | None = self.sock
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def _get(connection: _Connection, hook: HttpHook, kind: str) -> int:
    """The status. Of the answer only the head is read, whose size http.client limits."""
    with contextlib.closing(connection):
        headers = {**hook.headers, _KIND_HEADER: kind}
        connection.request("GET", hook.path or "/", headers=headers)
        with connection.getresponse() as response:
            return response.status


def _failed(hook: HttpHook, why: str, code: Code) -> Fault:
    message = f"hook http://{hook.host}:{hook.port}{hook.path}: {why}"
    return Fault(code=code, reason=Reason.RUNTIME_UNREACHABLE, message=message)
