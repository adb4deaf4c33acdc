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
        exchange = _Exchange()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(hook.timeout_s):
                status = await loop.run_in_executor(self._threads, exchange.get, hook, kind)
        except TimeoutError:
            return _failed(hook, f"no answer within {hook.timeout_s:g} s", Code.DEADLINE_EXCEEDED)
        except (OSError, HTTPException, ValueError) as error:
            return _failed(hook, str(error) or type(error).__name__, Code.UNAVAILABLE)
        finally:
            exchange.give_up()
        if 200 <= status < 300:  # noqa: PLR2004 - the class of the status
            return None
        return _failed(hook, f"answered {status}", Code.FAILED_PRECONDITION)

    def close(self) -> None:
        """Let the threads end; one that still waits ends with its hook's time."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Exchange:
    """One GET in a thread, and a way to end it from outside.

    A socket's time-out alone does not: it starts anew with every byte that comes.
    """

    def __init__(self) -> None:
        self._connection: HTTPConnection | None = None
        self._given_up = False

    def get(self, hook: HttpHook, kind: str) -> int:
        """The status. Of the answer only the head is read, whose size http.client limits."""
        connection = HTTPConnection(hook.host, hook.port, timeout=hook.timeout_s)
        with contextlib.closing(connection):
            connection.connect()
            self._connection = connection
            if self._given_up:  # Set before `give_up` looked for the connection, so seen here.
                raise TimeoutError
            headers = {**hook.headers, _KIND_HEADER: kind}
            connection.request("GET", hook.path or "/", headers=headers)
            with connection.getresponse() as response:
                return response.status

    def give_up(self) -> None:
        """Wake the thread that may still wait for bytes, now or when it is connected."""
        self._given_up = True
        sock: socket.socket | None = self._connection.sock if self._connection else None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def _failed(hook: HttpHook, why: str, code: Code) -> Fault:
    message = f"hook http://{hook.host}:{hook.port}{hook.path}: {why}"
    return Fault(code=code, reason=Reason.RUNTIME_UNREACHABLE, message=message)
