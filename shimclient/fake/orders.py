"""What Checkpoint, Update and Create ask of a VM's memory, read from their requests.

What cannot be read is answered with code 3 before anything is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from shimclient.api import fake_pb2, task_pb2
from shimclient.errors import Code, StatusError
from shimclient.fake.images import ImageUnreadable, load_image, save_image
from shimclient.fake.memory import Image, Mode
from shimclient.fake.protocol import (
    CHECKPOINT_TYPE,
    ROLLBACK_ACTION,
    SNAPSHOT_ANNOTATION,
    UPDATE_ACTION,
    rollback_source,
)
from shimclient.fake.script import annotation
from shimclient.fake.vm import Vm
from shimclient.task import Status

_MODES: Final = ", ".join(Mode)


@dataclass(frozen=True, slots=True)
class CheckpointOrder:
    """A snapshot that is wanted: where, how, upon what, and at which restore generation."""

    folder: Path
    mode: Mode = Mode.FULL
    base: Path | None = None
    generation: int | None = None
    check_base: bool = False

    def check(self, vm: Vm) -> None:
        """Raise code 2 where the VM does not run, code 9 where it has another generation."""
        vm.check("checkpoint", Status.RUNNING)
        if self.generation is not None and self.generation != vm.generation:
            raise StatusError(
                Code.FAILED_PRECONDITION,
                f"cannot checkpoint {vm.id} upon a base of restore generation {self.generation}:"
                f" it has {vm.generation}",
            )

    def carry_out(self, vm: Vm) -> None:
        """Write the image; only then does the VM's tracking start again.

        Raises code 9 where the tracking is found not to count from the base: a commit that nobody
        knew to have happened has moved it, and a delta upon any other base would miss pages.
        """
        self.check(vm)
        base = None if self.base is None else image_in(self.base)
        # Once: each look at it lets the program inside go on, and what that writes between the
        # image and the tracking's new start would be in no snapshot.
        memory = vm.memory
        if self.check_base and not memory.is_right_base(self.mode, base):
            text = f"cannot checkpoint {vm.id}: its dirty pages do not count from {self.base}"
            raise StatusError(Code.FAILED_PRECONDITION, text)
        image = memory.image(self.mode, base)
        try:
            save_image(self.folder, image)
        except OSError as error:
            text = f"cannot write a checkpoint into {self.folder}: {error.strerror}"
            raise StatusError(Code.UNKNOWN, text) from error
        memory.snapshot_taken()


def checkpoint_order(request: task_pb2.CheckpointRequest) -> CheckpointOrder:
    """The order in a request; without options it is for a full snapshot."""
    folder = _absolute(request.path)
    if not request.HasField("options"):
        return CheckpointOrder(folder)
    if request.options.type_url.rpartition("/")[2] != CHECKPOINT_TYPE:
        raise _bad(f"the options of Checkpoint are to be of type {CHECKPOINT_TYPE}")
    try:
        options = fake_pb2.CheckpointOptions.FromString(request.options.value)
        mode = Mode(options.mode)
    except (DecodeError, ValueError) as error:
        raise _bad(f"{error}; expected one of {_MODES}") from error
    base = None if mode is Mode.FULL else _absolute(options.base)
    generation = options.generation if options.HasField("generation") else None
    return CheckpointOrder(folder, mode, base, generation, check_base=options.check_base)


def is_rollback(request: task_pb2.UpdateRequest) -> bool:
    """Whether an Update is what CubeSandbox's Cubelet sends for a rollback."""
    return request.annotations.get(UPDATE_ACTION) == ROLLBACK_ACTION


def rollback_folder(request: task_pb2.UpdateRequest) -> Path:
    """The snapshot that a rollback goes back to."""
    try:
        return rollback_source(request.annotations)
    except ValueError as error:
        raise _bad(str(error)) from error


def first_image(bundle: Path) -> Image | None:
    """The snapshot that a bundle's task starts from; None for a boot."""
    folder = annotation(bundle, SNAPSHOT_ANNOTATION)
    return image_in(_absolute(folder)) if folder else None


def image_in(folder: Path) -> Image:
    """The image of a snapshot."""
    try:
        return load_image(folder)
    except ImageUnreadable as error:
        raise _bad(str(error)) from error


def _absolute(path: str) -> Path:
    if not path.startswith("/") or "\0" in path:
        raise _bad(f"{path[:200]!r} is no absolute path of a snapshot's folder")
    return Path(path)


def _bad(text: str) -> StatusError:
    return StatusError(Code.INVALID_ARGUMENT, text)
