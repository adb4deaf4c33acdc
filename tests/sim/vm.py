"""One simulated sandbox: the truth about it, its memory, and what is done to it.

Everything here runs in callbacks of the world, so that neither the agent's death nor its standing
still changes what happens to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cubelet.core.bindings import Mode as PlanMode
from cubelet.core.evidence import Status
from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.model import Call, Handle
from cubelet.engine.ports import CallFailed, Committed
from shimclient.fake.memory import Image, Memory, Mode
from tests.sim.calls import ShimCall
from tests.sim.world import World


@dataclass(frozen=True, slots=True)
class Truth:
    """From `at_s` on the sandbox stood still, or ran, or had ended."""

    at_s: float
    what: str


@dataclass(slots=True)
class Host:
    """What the shims of one runtime share: kind, images on disk, and who hears their events."""

    world: World
    freezer: bool
    status_waits: bool
    counts_generations: bool
    publish: Callable[[Vm, str], None]
    images: dict[str, Image] = field(default_factory=dict)


class Vm:
    """`paused` is what the shim believes, `frozen` what is true; only a freezer's can differ."""

    def __init__(self, host: Host, sandbox_id: str, incarnation: str, pid: int) -> None:
        self.host = host
        self.world = host.world
        self.id = sandbox_id
        self.incarnation = incarnation
        self.handle = Handle(
            address=f"sim:{sandbox_id}",
            version=3,
            shim_pid=pid,
            shim_start_ticks=pid * 10,
            pid=pid + 1,
            pid_start_ticks=pid * 10 + 1,
        )
        self.born_s = self.world.now_s
        self.started = False
        self.paused = False
        self.frozen = False
        #: The shim and the sandbox's processes are gone.
        self.gone = False
        #: So is everything that it left on disk.
        self.cleared = False
        self.exit_code: int | None = None
        self.memory = Memory(seed=pid)
        self.private: Image | None = None
        #: Whether nothing was restored behind the catalog's back since the last commit or rollback.
        self.bound = False
        #: Whether a commit that was given up has come since the last one that was not: no agent can
        #: know that base, and so the runtime compares it. What an agent can know is judged instead.
        self.moved = False
        self.history: list[Truth] = []
        #: From then on every question could have been answered, in time and truly.
        self.honest_since_s = 0.0
        #: Who froze or thawed it past its shim: "", "trace" of our own call, "stranger".
        self.split_by = ""
        self.split_at_s = 0.0
        self.split_end_s = -1.0
        #: When it last said something else than it believes.
        self.lied_at_s = -1.0
        self._lie: tuple[Status, float] | None = None

    @property
    def alive(self) -> bool:
        """Whether the sandbox's own process lives."""
        return self.started and not self.gone and self.exit_code is None

    @property
    def truth(self) -> str:
        """PAUSED, RUNNING or ENDED."""
        if not self.alive:
            return "ENDED"
        return "PAUSED" if self.frozen else "RUNNING"

    @property
    def generation(self) -> int:
        """How often it was restored, as far as its runtime counts that."""
        return self.memory.generation if self.host.counts_generations else 0

    @property
    def split(self) -> bool:
        """Whether the shim's belief and the kernel differ."""
        return self.alive and self.frozen != self.paused

    @property
    def honestly(self) -> Status:
        """What it believes itself."""
        return Status.PAUSED if self.paused else Status.RUNNING

    @property
    def says(self) -> Status:
        """What it answers, be it true or not."""
        if self._lie is not None and self.world.now_s < self._lie[1] and not self.world.swarm.over:
            return self._lie[0]
        return self.honestly

    def was(self, what: str, since_s: float) -> bool:
        """Whether that was true at some instant since then."""
        for truth in reversed(self.history):
            if truth.what == what:
                return True
            if truth.at_s <= since_s:
                return False
        return False

    def note_truth(self) -> None:
        """Something may have changed; remember when."""
        what = self.truth
        if not self.history or self.history[-1].what != what:
            self.history.append(Truth(self.world.now_s, what))
            self.world.note(f"{self.id} is {what}")
        if not self.split and self.split_by:
            self.split_by, self.split_end_s = "", self.world.now_s

    def tainted(self, until_s: float | None = None) -> None:
        """Up to now, or until then, somebody who asks may get no true answer."""
        until_s = self.world.now_s if until_s is None else until_s
        self.honest_since_s = max(self.honest_since_s, until_s)

    def start(self) -> None:
        """Its first process runs."""
        self.started = True
        self.note_truth()

    def lie(self, status: Status, for_s: float) -> None:
        """Say something else than is true for a while."""
        until_s = self.world.now_s + self.world.work_time(for_s)
        self._lie = (status, until_s)
        self.tainted(until_s)

    def set_frozen(self, frozen: bool, *, by: str) -> None:  # noqa: FBT001 - the state itself.
        """Freeze or thaw past the shim."""
        if not self.alive or frozen == self.frozen:
            return
        self.touch()
        self.frozen = frozen
        if self.split:
            self.split_by, self.split_at_s = by, self.world.now_s
        self.note_truth()

    def by_stranger(self, kind: str) -> None:
        """Somebody else pauses or resumes it, through the shim."""
        self.touch()
        if kind == "pause":
            self._pause_now()
        else:
            self._resume_now()

    def touch(self) -> None:
        """What the running sandbox has written to its memory since somebody looked."""
        if self.alive and not self.frozen:
            rng = self.world.rng
            for _ in range(rng.randrange(3)):
                self.memory.write(rng.randrange(12), rng.getrandbits(40))

    def _pause(self, _: ShimCall) -> None:
        self._must(running=True, doing="pause")
        self.touch()
        self._pause_now()

    def _resume(self, _: ShimCall) -> int:
        self._must(running=False, doing="resume")
        self._resume_now()
        return self.generation

    def _pause_now(self) -> None:
        self.paused = self.frozen = True
        if not self.host.freezer:
            self.private = self.memory.private_image()
        self._changed("paused")

    def _resume_now(self) -> None:
        self.paused = self.frozen = False
        if not self.host.freezer:
            assert self.private is not None
            self.memory.restore(self.private)
            self.bound = False
        self._changed("resumed")

    def _commit(self, call: ShimCall) -> Committed:
        self._must(running=True, doing="commit")
        plan = call.plan
        assert plan is not None
        self.touch()
        counts = self.host.counts_generations
        if counts and plan.generation not in {None, self.memory.generation}:
            raise _refused("the base is of another restore", Reason.STALE_BASE)
        base = self.host.images.get(plan.base_id) if plan.base_id else None
        if plan.mode is not PlanMode.FULL and base is None:
            raise _refused("no such base", Reason.SNAPSHOT_NOT_FOUND)
        mode = Mode(plan.mode.value)
        if self.moved and not self.memory.is_right_base(mode, base):
            raise _refused("the tracking counts from another base", Reason.STALE_BASE)
        self.world.judge.committing(self, plan, mode, base)
        image = self.memory.checkpoint(mode, base)
        self.host.images[plan.snapshot_id] = image
        self.moved = self.world.judge.given_up(call.record)
        self.bound = not self.moved
        self.world.judge.committed(self, plan, image)
        return Committed(path=f"/images/{plan.snapshot_id}", generation=self.generation)

    def _rollback(self, call: ShimCall) -> int:
        self._must(running=True, doing="rollback")
        assert call.snapshot is not None
        image = self.host.images.get(call.snapshot.id)
        if image is None:
            raise _refused("no such snapshot", Reason.SNAPSHOT_NOT_FOUND)
        self.memory.rollback(image)
        self.moved = False
        self.bound = True
        return self.generation

    def _must(self, *, running: bool, doing: str) -> None:
        if not self.alive:
            raise _refused(f"cannot {doing}: it has ended")
        if self.split or self.paused is running:
            raise _refused(f"cannot {doing}: it is {self.says}")

    def _changed(self, what: str) -> None:
        self._lie = None
        self.note_truth()
        self.host.publish(self, what)


def _refused(text: str, reason: Reason = Reason.RUNTIME_REFUSED) -> CallFailed:
    fault = Fault(code=Code.FAILED_PRECONDITION, reason=reason, message=text)
    return CallFailed(fault, call=Call.ANSWERED)
