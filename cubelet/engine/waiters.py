"""Who waits for what at one sandbox: futures, each finished once, or left by its owner."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from cubelet.core.faults import CubeletError, Fault
from cubelet.core.model import Record

T = TypeVar("T")


class Waiters:
    """Callers of operations by operation id, those who wait for the end, those who want a look.

    A caller that gives up cancels its own future only; finishing that one later does nothing.
    """

    def __init__(self) -> None:
        self._callers: dict[str, asyncio.Future[Record]] = {}
        self._deleters: list[asyncio.Future[None]] = []
        self._lookers: list[asyncio.Future[None]] = []

    def caller(self, op_id: str) -> asyncio.Future[Record]:
        """A future for the record as it was when this operation was answered."""
        future = self._callers[op_id] = _future()
        return future

    def deleter(self) -> asyncio.Future[None]:
        """A future for the sandbox's end."""
        future: asyncio.Future[None] = _future()
        self._deleters.append(future)
        return future

    def looker(self) -> asyncio.Future[None]:
        """A future for the next answer of the shim, or the finding that none is needed."""
        future: asyncio.Future[None] = _future()
        self._lookers.append(future)
        return future

    def complete(self, op_id: str, record: Record | None, fault: Fault | None) -> None:
        """Answer the caller of an operation, if it has one that still waits."""
        caller = self._callers.pop(op_id, None)
        if caller is None:
            return
        if fault is None:
            assert record is not None  # noqa: S101 - success is success of a sandbox that exists.
            _resolve(caller, record)
        else:
            _fail(caller, fault)

    def complete_deletes(self, fault: Fault | None) -> None:
        """Answer everybody who waits for the end."""
        deleters, self._deleters = self._deleters, []
        for deleter in deleters:
            if fault is None:
                _resolve(deleter, None)
            else:
                _fail(deleter, fault)

    def wake_lookers(self) -> None:
        """Let everybody go on who waited for a look."""
        lookers, self._lookers = self._lookers, []
        for looker in lookers:
            _resolve(looker, None)


def _future() -> asyncio.Future[T]:
    return asyncio.get_running_loop().create_future()


def _resolve(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[T], fault: Fault) -> None:
    if not future.done():
        future.set_exception(CubeletError(fault))
