"""Who waits for what at one sandbox: futures, each finished once, or left by its owner."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from cubelet.core.faults import CubeletError, Fault
from cubelet.core.model import Record

T = TypeVar("T")


class Waiters:
    """Callers by their request's operation id, and those who want a look.

    A caller that gives up cancels its own future only; finishing that one later does nothing.
    """

    def __init__(self) -> None:
        self._callers: dict[str, asyncio.Future[Record | None]] = {}
        self._deleters: dict[str, None] = {}  # In the order in which they came.
        self._joined: dict[str, list[str]] = {}
        self._lookers: list[asyncio.Future[None]] = []

    def caller(self, op_id: str) -> asyncio.Future[Record | None]:
        """A future for the record as it was when this request was answered."""
        future: asyncio.Future[Record | None] = _future()
        self._callers[op_id] = future
        return future

    def deleter(self, op_id: str) -> asyncio.Future[Record | None]:
        """A future for the sandbox's end; its result is None."""
        self._deleters[op_id] = None
        return self.caller(op_id)

    def looker(self) -> asyncio.Future[None]:
        """A future for the next answer of the shim, or the finding that none is needed."""
        future: asyncio.Future[None] = _future()
        self._lookers.append(future)
        return future

    def join(self, op_id: str, to_op_id: str) -> None:
        """Let one caller have another's answer."""
        self._joined.setdefault(to_op_id, []).append(op_id)

    def complete(self, op_id: str, record: Record | None, fault: Fault | None) -> None:
        """Answer the caller of an operation and all who joined, if they still wait."""
        for each in (op_id, *self._joined.pop(op_id, ())):
            self._deleters.pop(each, None)
            caller = self._callers.pop(each, None)
            if caller is None:
                continue
            if fault is None:
                _resolve(caller, record)
            else:
                _fail(caller, fault)

    def complete_deletes(self, fault: Fault | None) -> None:
        """Answer everybody who waits for the end."""
        for op_id in tuple(self._deleters):
            self.complete(op_id, None, fault)

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
