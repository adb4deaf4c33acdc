"""The engine's Runtime port over shim processes: one class for all kinds of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from cubelet.core.evidence import Alive, Evidence, NoAnswer, Status
from cubelet.core.faults import Code, Reason, error
from cubelet.core.model import Handle, Record
from cubelet.core.spec import Spec
from cubelet.engine.ports import Capabilities
from cubelet.runtime.answers import evidence_of, evidence_without_state
from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.faults import call_failed, failed
from cubelet.runtime.kinds import Kind
from cubelet.runtime.launch import Launcher
from cubelet.runtime.links import Links
from cubelet.runtime.note import read_note
from cubelet.runtime.places import place_of
from cubelet.runtime.removal import Remover
from cubelet.runtime.templates import Templates
from shimclient import ShimError
from shimclient.task import Task


class ShimRuntime:
    """Implements `engine.ports.Runtime`. Keeps nothing of a sandbox but the connection to its shim.

    Whatever else it needs it reads from the record, or, where the agent died before the record
    knew, from the note in the sandbox's folder.
    """

    def __init__(self, kind: Kind, config: RuntimeConfig) -> None:
        self._kind = kind
        self._state_dir = config.state_dir
        self._templates = Templates(config.templates_dir, config.templates_cache)
        self._links = Links()
        self._launcher = Launcher(kind, config, self._templates, self._links)
        self._remover = Remover(kind, config, self._links)

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

    async def create(self, record: Record) -> Handle:
        """Make and start the sandbox; see the port."""
        return await self._launcher.launch(record)

    async def pause(self, record: Record) -> None:
        """Freeze it; see the port. Waits as long as the shim takes."""
        await self._call(record, "pause", lambda t: t.pause(record.id, local_timeout_s=None))

    async def resume(self, record: Record) -> None:
        """Let it run again; see the port. Waits as long as the shim takes."""
        await self._call(record, "resume", lambda t: t.resume(record.id, local_timeout_s=None))

    async def state(self, record: Record) -> Evidence:
        """Ask for its status; see the port. Waits as long as the shim takes."""
        handle = self._handle(record)
        if handle is None:
            return NoAnswer(why="no shim of it is known")
        try:
            task = await self._task(record, handle)
            evidence = evidence_of(await task.state(record.id, local_timeout_s=None))
            return self._unless_contradicted(record, evidence)
        except ShimError as failure:
            return evidence_without_state(failure, handle)

    async def destroy(self, record: Record) -> None:
        """Remove everything it has; see the port. Ends within 25 s, whatever hangs."""
        await self._remover.remove(record)

    async def close(self) -> None:
        """Hang up on all shims; they and their sandboxes go on. For the agent's own end."""
        await self._links.close()

    async def _call(
        self, record: Record, doing: str, call: Callable[[Task], Awaitable[None]]
    ) -> None:
        handle = self._handle(record)
        if handle is None:
            message = f"cannot {doing} sandbox {record.id}: no shim of it is known"
            raise failed(Code.UNAVAILABLE, Reason.RUNTIME_UNREACHABLE, message)
        try:
            await call(await self._task(record, handle))
        except ShimError as failure:
            raise call_failed(failure, f"cannot {doing} sandbox {record.id}") from failure

    def _unless_contradicted(self, record: Record, evidence: Evidence) -> Evidence:
        """A shim's word against the kernel's is no answer.

        A runc that was killed in the middle leaves its shim with the old state: RUNNING over frozen
        processes, or PAUSED over running ones (seen with containerd 1.6).
        """
        if not self._kind.container or not isinstance(evidence, Alive):
            return evidence
        frozen = self._kind.cgroup(record.id).frozen
        says_frozen = {Status.PAUSED: True, Status.RUNNING: False}.get(evidence.status)
        if frozen is None or says_frozen is None or frozen is says_frozen:
            return evidence
        kernel = "frozen" if frozen else "not frozen"
        return NoAnswer(why=f"the shim says {evidence.status}, but its processes are {kernel}")

    def _handle(self, record: Record) -> Handle | None:
        """The record's, or the note's where the record could not be told of it."""
        if record.handle is not None:
            return record.handle
        note = read_note(place_of(self._state_dir, record.id))
        known = note is not None and note.incarnation == record.incarnation
        return note.handle if note is not None and known else None

    async def _task(self, record: Record, handle: Handle) -> Task:
        link = self._links.of(record.id, place_of(self._state_dir, record.id))
        return await link.task(handle.address, handle.version)


def _bad(message: str) -> Exception:
    return error(Code.INVALID_ARGUMENT, Reason.BAD_REQUEST, message)
