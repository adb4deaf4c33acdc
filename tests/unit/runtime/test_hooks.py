from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from cubelet.core.faults import Code, Fault
from cubelet.core.spec import HttpHook
from cubelet.runtime.hooks import HttpHooks, _Connection, _get

Answer = Callable[[StreamReader, StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[int]:
    """A server of which each connection is answered so; its port. It ends with all it has."""
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await answer(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


def says(text: str, heard: list[str] | None = None) -> Answer:
    async def answer(reader: StreamReader, writer: StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if heard is not None:
            heard.append(head.decode())
        writer.write(text.encode())
        await writer.drain()

    return answer


async def run(
    port: int, *, timeout_s: float = 5.0, path: str = "/", **headers: str
) -> Fault | None:
    hooks = HttpHooks()
    hook = HttpHook(host="127.0.0.1", port=port, path=path, headers=headers, timeout_s=timeout_s)
    try:
        return await hooks.run(hook, kind="pause")
    finally:
        hooks.close()


async def test_a_get_with_the_kind_and_the_hooks_headers() -> None:
    heard: list[str] = []
    async with server(says("HTTP/1.1 204 No Content\r\n\r\n", heard)) as port:
        assert await run(port, path="/freeze?a=1", X_Mine="t") is None
    lines = heard[0].split("\r\n")
    assert lines[0] == "GET /freeze?a=1 HTTP/1.1"
    assert "prestop_type: pause" in lines
    assert "X_Mine: t" in lines


@pytest.mark.parametrize("status", ["500 Oops", "404 Not Found", "302 Found\r\nLocation: /other"])
async def test_any_other_status_is_a_failure_and_no_redirect_is_followed(status: str) -> None:
    heard: list[str] = []
    async with server(says(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n", heard)) as port:
        fault = await run(port)
    assert fault is not None
    assert status[:3] in fault.message
    assert len(heard) == 1


async def test_a_body_without_end_is_not_read() -> None:
    async def endless(reader: StreamReader, writer: StreamWriter) -> None:
        await says("HTTP/1.1 200 OK\r\n\r\n")(reader, writer)
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with server(endless) as port:
        assert await run(port) is None


async def test_a_head_without_end_is_a_failure() -> None:
    async def endless(reader: StreamReader, writer: StreamWriter) -> None:
        await says("HTTP/1.1 200 OK\r\n")(reader, writer)
        while True:
            writer.write(b"x: " + b"x" * 65536)
            await writer.drain()

    async with server(endless) as port:
        fault = await run(port)
    assert fault is not None
    assert fault.code is Code.UNAVAILABLE


async def test_silence_ends_with_the_hooks_time() -> None:
    heard = asyncio.Event()

    async def silent(reader: StreamReader, _: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        heard.set()
        await reader.read()

    async with server(silent) as port:
        fault = await run(port, timeout_s=0.2)
        assert heard.is_set()
    assert fault is not None
    assert fault.code is Code.DEADLINE_EXCEEDED


async def test_one_byte_at_a_time_does_not_outlast_the_hooks_time() -> None:
    hung_up = asyncio.Event()

    async def dripping(reader: StreamReader, writer: StreamWriter) -> None:
        await says("HTTP/1.1 200 OK\r\nx: ")(reader, writer)
        end = asyncio.create_task(reader.read())
        while not end.done():
            writer.write(b"x")
            await asyncio.wait({end}, timeout=0.01)
        hung_up.set()

    async with server(dripping) as port:
        fault = await run(port, timeout_s=0.2)
        async with asyncio.timeout(5):
            await hung_up.wait()
    assert fault is not None
    assert fault.code is Code.DEADLINE_EXCEEDED


async def test_nobody_there_is_a_failure() -> None:
    async with server(says("")) as port:
        pass
    fault = await run(port)
    assert fault is not None
    assert f"127.0.0.1:{port}" in fault.message


@pytest.mark.parametrize("path", ["/a b", "/a\r\nX: y"])
async def test_a_path_that_is_none_is_never_sent(path: str) -> None:
    fault = await run(1, path=path)  # Where nobody listens: it is refused before that shows.
    assert fault is not None
    assert "control characters" in fault.message


async def test_a_host_that_is_none_is_a_failure() -> None:
    hook = HttpHook(host="a b", port=1, timeout_s=5)
    fault = await HttpHooks().run(hook, kind="pause")
    assert fault is not None


async def test_who_connects_after_it_was_given_up_on_asks_for_nothing() -> None:
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def listen(reader: StreamReader, _: StreamWriter) -> None:
        heard.set_result(await reader.read())

    async with server(listen) as port:
        connection = _Connection("127.0.0.1", port, timeout=5)
        connection.give_up()
        hook = HttpHook(host="127.0.0.1", port=port, timeout_s=5)
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(_get, connection, hook, "pause")
        assert await heard == b""
