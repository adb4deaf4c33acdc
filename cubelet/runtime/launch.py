"""From a record to a running sandbox: its folder, its bundle, its shim, its first process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from cubelet.core.faults import Code, CubeletError, Reason
from cubelet.core.model import Call, Handle, Record
from cubelet.crashpoints import reach
from cubelet.engine.ports import CallFailed
from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.faults import call_failed, failed, not_started
from cubelet.runtime.identity import Identity, boot_id, identify
from cubelet.runtime.kinds import Kind
from cubelet.runtime.links import Links
from cubelet.runtime.note import Note, handle_at, write_note
from cubelet.runtime.places import Place, place_of
from cubelet.runtime.snapshots import folder_of
from cubelet.runtime.starter import Starter
from cubelet.runtime.templates import Templates
from shimclient import BootstrapError, ShimError
from shimclient.api import task_pb2
from shimclient.bootstrap import start_shim
from shimclient.fake.protocol import SNAPSHOT_ANNOTATION
from shimclient.task import Task

#: Shims start within a tenth of this; a starter that hangs is killed at its end.
_START_TIMEOUT_S: Final = 20.0
#: With all files of a sandbox for its owner alone: a root has setuid programs in it.
_FOLDER_MODE: Final = 0o700


@dataclass(frozen=True, slots=True)
class Launcher:
    """Makes sandboxes of one kind. What a failure leaves behind is `removal`'s to clear."""

    kind: Kind
    config: RuntimeConfig
    templates: Templates
    links: Links
    starter: Starter

    async def launch(self, record: Record) -> Handle:
        """Make it and start it. Raises CallFailed, of which nothing goes on happening."""
        doing = f"cannot create sandbox {record.id} on {self.kind.name}"
        try:
            return await self._launch(record)
        except CubeletError as error:
            raise CallFailed(error.fault, call=Call.ANSWERED) from error
        except ShimError as error:
            raise call_failed(error, doing) from error
        except (BootstrapError, OSError) as error:
            raise not_started(error, doing) from error

    async def _launch(self, record: Record) -> Handle:
        place = place_of(self.config.state_dir, record.id)
        reach("runtime.launch.begin")
        rootfs = await self._rootfs(record, place)
        self._refuse_taken(record, place)
        # Not in a thread: a thread would go on after a cancel, beside the removal that follows it.
        self._lay_down(record, place)
        reach("runtime.bundle.made")
        link = self.links.of(record.id, place)
        link.read_log()
        shim = await start_shim(
            self.kind.command,
            namespace=record.namespace,
            id=record.id,
            bundle=place.bundle,
            events_address=f"unix://{self.config.events_socket}",
            containerd_address=containerd_address(self.config),
            timeout_s=_START_TIMEOUT_S,
            run=self.starter.run,
        )
        reach("runtime.shim.started")
        handle = handle_at(shim.address, shim.version)
        write_note(place, Note.of(record, handle))
        reach("runtime.shim.noted")
        task = await link.task(shim.address, shim.version)
        reach("runtime.shim.dialled")
        return await self._run(task, record, place, rootfs, handle)

    async def _run(
        self,
        task: Task,
        record: Record,
        place: Place,
        rootfs: Sequence[task_pb2.Mount],
        handle: Handle,
    ) -> Handle:
        """Create and start the task; no deadline of ours, as the engine has one for all of it."""
        request = task_pb2.CreateRequest(
            id=record.id, bundle=str(place.bundle), rootfs=rootfs, options=self.kind.options
        )
        pid = await task.create(request, local_timeout_s=None)
        reach("runtime.task.created")
        info = await task.connect(record.id, local_timeout_s=None)
        known = replace(handle, version=task.version)
        handle = identified(known, shim_pid=info.shim_pid, pid=pid)
        write_note(place, Note.of(record, handle))
        reach("runtime.task.noted")
        await task.start(record.id, local_timeout_s=None)
        reach("runtime.task.started")
        return handle

    async def _rootfs(self, record: Record, place: Place) -> list[task_pb2.Mount]:
        """The overlay that the shim is to mount: nothing of ours has to mount anything."""
        if not self.kind.container:
            return []
        lower = await self.templates.lower(record.spec.template)
        options = [f"lowerdir={lower}", f"upperdir={place.upper}", f"workdir={place.work}"]
        return [task_pb2.Mount(type="overlay", source="overlay", options=options)]

    def _refuse_taken(self, record: Record, place: Place) -> None:
        """Before anything is made, so that the undoing of this create finds nothing of its own."""
        if place.bundle.exists():
            raise _taken(
                f"{place.bundle} is there already, of a sandbox that nobody knows any more"
            )
        if self.kind.container and (pids := self.kind.cgroup(record.id).pids()):
            group = self.kind.cgroup(record.id).path
            raise _taken(
                f"control group {group} has {len(pids)} processes, perhaps another agent's"
            )

    def _lay_down(self, record: Record, place: Place) -> None:
        """The folders and the bundle; the note first, as it says whose all the rest is."""
        place.bundle.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        place.bundle.mkdir(mode=_FOLDER_MODE)
        reach("runtime.folder.made")
        write_note(place, Note.of(record))
        for folder in (place.upper, place.work) if self.kind.container else (place.home,):
            folder.mkdir(mode=0o755)
        reach("runtime.folders.made")
        config = self.kind.config(record, place)
        if record.spec.snapshot:
            folder = folder_of(self.config.snapshots_dir, record.spec.snapshot)
            config["annotations"][SNAPSHOT_ANNOTATION] = str(folder)
        (place.bundle / "config.json").write_text(json.dumps(config, indent=1))


def containerd_address(config: RuntimeConfig) -> str:
    """Names this agent to a shim binary, in socket names too; nothing listens there."""
    return str(config.state_dir / "run" / "shims")


def identified(handle: Handle, *, shim_pid: int, pid: int) -> Handle:
    """The handle with both processes by identity.

    What started before the shim is no process of its sandbox, whatever the shim says: it gets no
    identity, so that nothing is ever killed by it.
    """
    nobody = Identity(0, 0)
    shim = identify(shim_pid) or nobody
    init = identify(pid) or nobody
    if init.start_ticks < shim.start_ticks:
        init = nobody
    return replace(
        handle,
        shim_pid=shim_pid,
        shim_start_ticks=shim.start_ticks,
        pid=pid,
        pid_start_ticks=init.start_ticks,
        boot_id=boot_id(),
    )


def _taken(what: str) -> CallFailed:
    message = f"{what}; choose another id, or remove it"
    return failed(Code.ALREADY_EXISTS, Reason.SANDBOX_EXISTS, message)
