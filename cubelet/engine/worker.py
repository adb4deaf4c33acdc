"""One worker per sandbox: a task with a bounded inbox, and the only writer of its record.

Callers, shims and timers post inputs and wait on futures. One input at a time is decided, committed
and made visible; only then do its effects run, as tasks of their own that post what came of them.
So nothing is awaited between a check and its change but the commit, during which no other input of
this sandbox is looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial

import structlog

from cubelet.core import settle
from cubelet.core.effects import (
    CallRuntime,
    Complete,
    CompleteDeletes,
    Decision,
    Destroy,
    Effect,
    Entry,
    Forget,
    Query,
)
from cubelet.core.faults import Code, CubeletError, Fault, Reason, error
from cubelet.core.inputs import (
    CallReturned,
    Cause,
    CreateRequested,
    DeleteRequested,
    Input,
    LookRequested,
    Observed,
    PauseRequested,
    ResumeRequested,
)
from cubelet.core.machine import step
from cubelet.core.model import Call, Record
from cubelet.engine.executor import Executor
from cubelet.engine.ports import Change, Clock, Store
from cubelet.engine.supervisor import Supervisor
from cubelet.engine.waiters import Waiters

_log = structlog.get_logger("cubelet.worker")

#: How many inputs may wait. Requests over it are refused; the worker's own reports always fit:
#: each comes from one of its few effects. So does the one look that events ask for.
INBOX_MAX = 64
#: An event of our own operation comes about with its answer, and until that is on disk a look
#: would only get in its way.
HINT_DELAY_S = 0.05
#: The journal has each change before its line is logged, so the line can wait until the call to the
#: shim, or the answer to the caller, is on its way: a cold one takes a fifth of a millisecond.
LOG_DELAY_S = 0.002

OperationRequest = CreateRequested | PauseRequested | ResumeRequested
RuntimeEffect = CallRuntime | Query | Destroy


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all workers share."""

    store: Store
    clock: Clock
    executor: Executor
    supervisor: Supervisor
    #: Called whenever a worker's record has changed, or is none (any more).
    publish: Callable[[Worker], None]


class Worker:
    """Drives one sandbox from its first input to its last; ends by itself once it is forgotten."""

    def __init__(self, sandbox_id: str, record: Record | None, around: Surroundings) -> None:
        self.id = sandbox_id
        self.record = record
        self._around = around
        self._inbox: asyncio.Queue[Input] = asyncio.Queue()
        self._waiters = Waiters()
        self._effects: set[tuple[RuntimeEffect, int, Call | None]] = set()
        self._quiet = asyncio.Event()
        self._ended = False
        self._hint: asyncio.TimerHandle | None = None
        self._hint_waits = False
        around.supervisor.spawn(self._run(), name=f"worker-{sandbox_id}")

    async def request(self, happened: OperationRequest) -> Record:
        """Post a request and wait for its answer; leaving early cancels nothing."""
        self._admit()
        answer = self._waiters.caller(happened.op_id)
        self.post(happened)
        return await answer

    async def delete(self, happened: DeleteRequested) -> None:
        """Post a deletion and wait until nothing of the sandbox is left."""
        self._admit()
        end = self._waiters.deleter()
        self.post(happened)
        await end

    async def look(self) -> None:
        """Where an operation's outcome is open and no call is in flight, ask the shim now."""
        if self.record is None or self.record.open is None or self._in_flight:
            return
        self._admit()
        looked = self._waiters.looker()
        self.post(LookRequested(cause=Cause.RPC))
        await looked

    def hint(self) -> None:
        """An event suggests a look, a moment later: one look for all events until then."""
        if self._hint is None:
            self._hint = asyncio.get_running_loop().call_later(HINT_DELAY_S, self._follow_hint)

    def _follow_hint(self) -> None:
        """Look, unless a call is in flight: then its end brings us here again."""
        self._hint_waits = self._in_flight
        if not self._hint_waits and not self._ended:
            self._hint = None
            self.post(LookRequested(cause=Cause.EVENT))

    @property
    def _in_flight(self) -> bool:
        op = self.record.open if self.record else None
        return op is not None and op.call is Call.IN_FLIGHT

    def post(self, happened: Input) -> None:
        """Put an input in line; never waits."""
        self._quiet.clear()
        self._inbox.put_nowait(happened)

    async def quiet(self) -> None:
        """Return when no input waits and nothing runs but calls that nobody waits for any more."""
        await self._quiet.wait()

    def _admit(self) -> None:
        if self._ended:
            message = f"sandbox {self.id} was deleted meanwhile"
            raise error(Code.NOT_FOUND, Reason.SANDBOX_NOT_FOUND, message)
        if self._inbox.qsize() >= INBOX_MAX:
            message = f"sandbox {self.id} has {INBOX_MAX} requests in line; try again later"
            raise error(Code.RESOURCE_EXHAUSTED, Reason.TOO_BUSY, message)

    async def _run(self) -> None:
        while not self._ended:
            happened = await self._inbox.get()
            await self._apply(happened)
            self._ended = self.record is None and self._inbox.empty()
            self._note_quiet()

    def _note_quiet(self) -> None:
        abandoned = all(isinstance(effect, CallRuntime) for effect, *_ in self._effects)
        if self._inbox.empty() and abandoned and not self._in_flight:
            self._quiet.set()

    async def _apply(self, happened: Input) -> None:
        try:
            decision = self._decide(happened)
        except Exception as bug:  # noqa: BLE001 - a broken rule changes nothing and hangs nobody.
            self._broken(happened, bug)
            return
        if decision.persist and not await self._write(happened, decision):
            return
        self._become(decision.record)
        for effect in decision.effects:
            self._perform(effect)
        asks = any(isinstance(effect, Query) for effect in decision.effects)
        if isinstance(happened, Observed) or (isinstance(happened, LookRequested) and not asks):
            self._waiters.wake_lookers()
        if self._hint_waits:
            self._follow_hint()

    def _decide(self, happened: Input) -> Decision:
        around = self._around
        return step(self.record, happened, around.clock.now(), around.executor.policy)

    def _become(self, record: Record | None) -> None:
        if record is not self.record or record is None:
            self.record = record
            self._around.publish(self)

    async def _write(self, happened: Input, decision: Decision) -> bool:
        """Commit the decision; where the store refuses, nothing is acknowledged."""
        change = Change(
            id=self.id, record=decision.record, entries=decision.entries, synced=decision.synced
        )
        try:
            await self._around.store.commit(change)
        except CubeletError as refused:
            self._not_written(happened, decision, refused.fault)
            return False
        for entry in decision.entries:
            asyncio.get_running_loop().call_later(LOG_DELAY_S, _log_transition, entry)
        return True

    def _not_written(self, happened: Input, decision: Decision, fault: Fault) -> None:
        """Tell whoever waits for this change that the store refused it."""
        _log.error("change_not_written", sandbox=self.id, reason=fault.message)
        record = self.record
        if isinstance(happened, CallReturned) and record is not None:
            record = settle.not_written(record, happened, fault)
        self._become(record)
        self._fail_request(happened, fault)
        for effect in decision.effects:
            match effect:
                case Complete(op_id=op_id):
                    self._waiters.complete(op_id, None, fault)
                case CompleteDeletes():
                    self._waiters.complete_deletes(fault)
                case _:
                    pass  # It was to follow a change that is not there.

    def _broken(self, happened: Input, bug: Exception) -> None:
        _log.error("decision_broken", sandbox=self.id, input=type(happened).__name__, exc_info=bug)
        message = f"the agent broke at {type(happened).__name__} of sandbox {self.id}; see its log"
        self._fail_request(happened, Fault(code=Code.INTERNAL, reason=Reason.BUG, message=message))

    def _fail_request(self, happened: Input, fault: Fault) -> None:
        match happened:
            case CreateRequested() | PauseRequested() | ResumeRequested():
                self._waiters.complete(happened.op_id, None, fault)
            case DeleteRequested():
                self._waiters.complete_deletes(fault)
            case _:
                self._waiters.wake_lookers()

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Complete(op_id=op_id, fault=fault):
                self._waiters.complete(op_id, self.record, fault)
            case CompleteDeletes(fault=fault):
                self._waiters.complete_deletes(fault)
            case Forget():
                self._waiters.wake_lookers()
            case CallRuntime() | Query() | Destroy():
                self._start(effect)

    def _start(self, effect: RuntimeEffect) -> None:
        """Run an effect as a task; of the same one, about the same call, only one at a time."""
        record = self.record
        assert record is not None  # noqa: S101 - an effect on the runtime comes with a record.
        key = (effect, record.epoch, record.open.call if record.open else None)
        if key in self._effects:
            return
        self._effects.add(key)
        name = f"{type(effect).__name__}-{self.id}"
        task = self._around.supervisor.spawn(self._work(effect, record), name=name)
        task.add_done_callback(lambda _: self._effect_done(key))

    def _work(self, effect: RuntimeEffect, record: Record) -> Coroutine[object, object, None]:
        executor = self._around.executor
        match effect:
            case CallRuntime():
                wanted = partial(self._is_open, effect.epoch)
                return executor.call(effect, record, self.post, wanted=wanted)
            case Query():
                return executor.query(effect, record, self.post)
            case Destroy():
                return executor.destroy(record, self.post)

    def _is_open(self, epoch: int) -> bool:
        op = self.record.open if self.record else None
        return op is not None and op.epoch == epoch

    def _effect_done(self, key: tuple[RuntimeEffect, int, Call | None]) -> None:
        self._effects.discard(key)
        self._note_quiet()


def _log_transition(entry: Entry) -> None:
    """One line for each change that is on disk."""
    _log.info(
        "transition",
        sandbox=entry.sandbox_id,
        before=entry.before,
        after=entry.after,
        cause=entry.cause,
        op=entry.op_id,
        epoch=entry.epoch,
        detail=entry.detail,
    )
