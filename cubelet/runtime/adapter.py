"""The engine's Runtime port over shim processes: one class for all kinds of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from cubelet.core.bindings import CommitPlan, Snapshot
from cubelet.core.evidence import Alive, Contradicted, Evidence, NoAnswer
from cubelet.core.faults import Code, Reason, error
from cubelet.core.model import Handle, Record
from cubelet.core.spec import Spec
from cubelet.engine.ports import Capabilities, Committed, Trace
from cubelet.runtime.answers import evidence_of, evidence_without_state, unless_contradicted
from cubelet.runtime.cgroups import Cgroup
from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.heal import Healer
from cubelet.runtime.identity import identify
from cubelet.runtime.kinds import Kind
from cubelet.runtime.launch import Launcher
from cubelet.runtime.links import Links, Shim
from cubelet.runtime.orphanage import Orphanage
from cubelet.runtime.reach import Reach
from cubelet.runtime.removal import Remover
from cubelet.runtime.snapshots import Snapshots
from cubelet.runtime.starter import Starter
from cubelet.runtime.templates import Templates
from shimclient import ShimError


class ShimRuntime:
    """Implements `engine.ports.Runtime`. Keeps nothing of a sandbox but the connection to its shim.

    Whatever else it needs it reads from the record, or, where the agent died before the record
    knew, from the note in the sandbox's folder.
    """

    def __init__(
        self, kind: Kind, config: RuntimeConfig, orphanage: Orphanage | None = None
    ) -> None:
        """`orphanage` is shared by the runtimes of one agent; None: there is no other runtime."""
        self._kind = kind
        self._templates = Templates(config.templates_dir, config.templates_cache)
        self._links = Links()
        self._starter = Starter(kind, config.state_dir)
        self._launcher = Launcher(kind, config, self._templates, self._links, self._starter)
        self._remover = Remover(kind, config, self._links, self._starter.run)
        self._orphanage = orphanage or Orphanage(config, [kind.name])
        self._reach = Reach(config.state_dir, self._links)
        self._snapshots = Snapshots(kind, config.snapshots_dir, self._reach)
        self._healer = Healer(kind, config, self._reach)

    @property
    def name(self) -> str:
        """The name by which a Spec asks for this runtime."""
        return self._kind.name

    @property
    def capabilities(self) -> Capabilities:
        """What its operations mean."""
        return self._kind.capabilities

    def check(self, spec: Spec) -> None:
        """Raise CubeletError (INVALID_ARGUMENT) where this runtime cannot run such a spec."""
        if not spec.args or not spec.args[0]:
            raise _bad("there is nothing to run: give a command")
        if spec.cwd and not spec.cwd.startswith("/"):
            raise _bad(f"the working directory {spec.cwd[:200]!r} is not absolute")
        for text in (*spec.args, *spec.env, *spec.env.values(), spec.cwd):
            if "\0" in text:
                raise _bad(f"{text[:100]!r} has a zero byte in it")
        if spec.resources.cpu_milli < 0 or spec.resources.memory_bytes < 0:
            raise _bad("a limit is below 0; 0 is no limit")
        for name in spec.env:
            if not name or "=" in name:
                raise _bad(f"{name[:100]!r} is no name of an environment variable")
        if self._kind.container:
            self._templates.find(spec.template)
        elif spec.template:
            raise _bad(f"runtime {self.name} has no root of its own: leave the template out")
        self._snapshots.check(spec)

    async def create(self, record: Record) -> Handle:
        """Make and start the sandbox; see the port."""
        return await self._launcher.launch(record)

    async def pause(self, record: Record) -> None:
        """Freeze it; see the port. Waits as long as the shim takes."""
        await self._reach.call(
            record, "pause", lambda shim: shim.task.pause(record.id, local_timeout_s=None)
        )

    async def resume(self, record: Record) -> None:
        """Let it run again; see the port. Waits as long as the shim takes."""
        await self._reach.call(
            record, "resume", lambda shim: shim.task.resume(record.id, local_timeout_s=None)
        )

    async def state(self, record: Record) -> Evidence:
        """Ask for its status; see the port. Waits as long as the shim takes."""
        handle = self._reach.handle(record)
        if handle is None:
            return NoAnswer(why="no shim of it is known")
        try:
            shim = await self._reach.shim(record, handle)
            evidence = evidence_of(await shim.task.state(record.id, local_timeout_s=None))
        except ShimError as failure:
            return evidence_without_state(failure, handle)
        return await self._looked_at(record, shim, evidence)

    async def commit(self, record: Record, plan: CommitPlan) -> Committed:
        """Take a snapshot; see the port. Waits as long as the shim takes."""
        return await self._snapshots.commit(record, plan)

    async def rollback(self, record: Record, snapshot: Snapshot) -> int:
        """Go back to a snapshot; see the port. Waits as long as the shim takes."""
        return await self._snapshots.rollback(record, snapshot)

    async def heal(self, record: Record, *, frozen: bool) -> None:
        """Freeze or thaw it past its shim; see the port. Ends within 10 s, whatever hangs."""
        await self._healer.heal(record, frozen=frozen)

    async def destroy(self, record: Record) -> None:
        """Remove everything it has; see the port. Ends within 25 s, whatever hangs."""
        await self._remover.remove(record)

    async def traces(self, but: Collection[str] = frozenset()) -> Sequence[Trace]:
        """Everything that is here of this kind's sandboxes; see the port."""
        return await self._orphanage.traces(self.name, but)

    async def clear(self, trace: Trace) -> None:
        """Remove an orphan; see the port. Ends within 30 s, whatever hangs."""
        await self._orphanage.clear(trace)

    async def close(self) -> None:
        """Hang up on all shims; they and their sandboxes go on. For the agent's own end."""
        await self._links.close()
        await self._starter.close()
        if self._kind.container:
            # Now, as no create of ours is under way, which might just have found it to be there.
            Cgroup(self._kind.cgroups).drop()

    async def _looked_at(self, record: Record, shim: Shim, evidence: Evidence) -> Evidence:
        """A living status with what others than the shim's State know of it."""
        if not isinstance(evidence, Alive):
            return evidence
        if self._kind.capabilities.second_witness:
            frozen = self._kind.cgroup(record.id).frozen
            if isinstance(against := unless_contradicted(evidence, frozen=frozen), Contradicted):
                return against
        init = identify(evidence.pid)
        return replace(
            evidence,
            start_ticks=init.start_ticks if init else 0,
            generation=await self._snapshots.generation(shim, record.id),
        )


def _bad(message: str) -> Exception:
    return error(Code.INVALID_ARGUMENT, Reason.BAD_REQUEST, message)
