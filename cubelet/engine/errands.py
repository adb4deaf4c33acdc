"""The effects of one sandbox that reach its runtime, as tasks: which run, and which run already."""

from __future__ import annotations

from collections.abc import Callable, Coroutine

from cubelet.core.effects import CallRuntime, Destroy, Heal, Query
from cubelet.core.inputs import Input
from cubelet.core.model import Call, Record
from cubelet.engine.executor import Executor
from cubelet.engine.lanes import BACKGROUND
from cubelet.engine.questions import Questions
from cubelet.engine.supervisor import Supervisor

RuntimeEffect = CallRuntime | Query | Heal | Destroy

#: An effect that runs: what it is, which epoch and phase of the open call it is about, and whether
#: it may have to wait in a lane first, so that it does not stand for one that does not.
_Running = tuple[type[RuntimeEffect], int, Call | None, bool]


def _kind_of(effect: RuntimeEffect, record: Record) -> _Running:
    if isinstance(effect, Destroy):
        return Destroy, 0, None, False  # Whoever wants it gone: there are never two of them.
    phase = record.open.call if record.open else None
    queued = isinstance(effect, Query) and effect.cause in BACKGROUND
    return type(effect), record.epoch, phase, queued


class Errands:
    """Starts effects and knows which have not ended. `ended` is called after each."""

    def __init__(
        self,
        *,
        executor: Executor,
        supervisor: Supervisor,
        questions: Questions,
        report: Callable[[Input], None],
        ended: Callable[[], None],
    ) -> None:
        self._executor = executor
        self._supervisor = supervisor
        self._questions = questions
        self._report = report
        self._ended = ended
        self._running: set[_Running] = set()

    @property
    def changing(self) -> bool:
        """Whether something is being removed or mended; calls and questions may be left alone."""
        return any(kind in {Heal, Destroy} for kind, *_ in self._running)

    def start(self, effect: RuntimeEffect, record: Record, *, wanted: Callable[[], bool]) -> bool:
        """Run it as a task; False where the same one, about the same call, runs already."""
        running = _kind_of(effect, record)
        if running in self._running:
            return False
        self._running.add(running)
        work = self._work(effect, record, wanted)
        task = self._supervisor.spawn(work, name=f"{type(effect).__name__}-{record.id}")
        task.add_done_callback(lambda _: self._done(running))
        return True

    def _work(
        self, effect: RuntimeEffect, record: Record, wanted: Callable[[], bool]
    ) -> Coroutine[object, object, None]:
        match effect:
            case CallRuntime():
                return self._executor.call(effect, record, self._report, wanted=wanted)
            case Query():
                return self._executor.query(effect, record, self._report, self._questions)
            case Heal():
                return self._executor.heal(effect, record, self._report)
            case Destroy():
                return self._executor.destroy(record, self._report)

    def _done(self, running: _Running) -> None:
        self._running.discard(running)
        self._ended()
