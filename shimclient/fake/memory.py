"""The simulated VM's memory: pages, what of them is dirty, and the images that are made of them.

Pure and small. The fake shim's VM has one, and so has the simulated runtime of other tests.

A VMM writes a snapshot in one of three ways. A full one has every page. The others have a base,
another snapshot, over which they lay the pages that are dirty: since the last snapshot operation
(soft-dirty), or since the last restore (incremental). Nothing in a VMM checks that the base is the
image which its tracking counts from. Where it is another one, the pages that differ and are not
dirty come from the wrong image, and a restore gives a memory that never was. So it is here.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

#: How many pages `scribble` goes round; few enough that all of them fit a small file.
PAGES: Final = 256
_SEED_SHIFT: Final = 40


class Mode(enum.StrEnum):
    """What a snapshot writes: pages dirty since the last snapshot, since the last restore, all."""

    SOFT_DIRTY = "soft-dirty"
    INCREMENTAL = "incremental"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Image:
    """The contents of a memory, by page; a page that is not in it is empty.

    `generation` is that of the memory it was made of, `base` the digest of what it was laid over.
    """

    pages: Mapping[int, int]
    generation: int = 0
    base: str = ""

    @property
    def digest(self) -> str:
        """Stands for the contents: 16 hex characters."""
        return digest_of(self.pages)


@dataclass(slots=True)
class Tracking:
    """One dirty set, and its lineage: the digest of the contents from which it counts.

    That is "" from the boot on: no image holds what was there before the first write.
    """

    dirty: set[int] = field(default_factory=set)
    since: str = ""


class Memory:
    """The memory of one VM. `seed` makes what it writes different from what others write."""

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed
        self.pages: dict[int, int] = {}
        #: How often it was restored; what a create restored is not counted.
        self.generation = 0
        self.since_snapshot = Tracking()
        self.since_restore = Tracking()

    @classmethod
    def created_from(cls, image: Image, *, seed: int = 0) -> Memory:
        """The memory of a new VM that starts from a snapshot."""
        memory = cls(seed=seed)
        memory._load(image)
        return memory

    @property
    def digest(self) -> str:
        """Stands for the contents; equal to that of an image which holds the same."""
        return digest_of(self.pages)

    def write(self, page: int, value: int) -> None:
        """The running VM writes."""
        self.pages[page] = value
        self.since_snapshot.dirty.add(page)
        self.since_restore.dirty.add(page)

    def scribble(self, start: int, stop: int) -> None:
        """Make the writes number `start` to `stop` - 1, each of a value that was never there.

        They go round the pages, so that of very many only the last round has to be made.
        """
        for number in range(max(start, stop - PAGES), stop):
            self.write(number % PAGES, (self.seed << _SEED_SHIFT) + number + 1)

    def image(self, mode: Mode, base: Image | None = None) -> Image:
        """What a snapshot would write now; only a full one takes no base."""
        if mode is Mode.FULL:
            return Image(dict(self.pages), self.generation)
        if base is None:
            raise ValueError(f"a snapshot of mode {mode} needs a base")
        dirty = self._tracking(mode).dirty
        changed = {page: value for page, value in self.pages.items() if page in dirty}
        return Image({**base.pages, **changed}, self.generation, base.digest)

    def snapshot_taken(self) -> None:
        """A snapshot of any mode has been written: soft-dirty tracking starts again from here."""
        self.since_snapshot = Tracking(since=self.digest)

    def checkpoint(self, mode: Mode, base: Image | None = None) -> Image:
        """Take a snapshot: the image, and the new start of the tracking."""
        image = self.image(mode, base)
        self.snapshot_taken()
        return image

    def private_image(self) -> Image:
        """All of it, as a pause keeps it for the resume; in no catalog, and tracking goes on."""
        return self.image(Mode.FULL)

    def restore(self, image: Image) -> None:
        """Go on from an image, as the next generation: a resume from a private one."""
        self._load(image)
        self.generation += 1

    def rollback(self, image: Image) -> None:
        """Go back to a snapshot. To a VMM it is the same."""
        self.restore(image)

    def holds(self, image: Image) -> bool:
        """Whether a restore of the image would give what is here now: the truth about a commit."""
        return self.pages == image.pages

    def is_right_base(self, mode: Mode, base: Image | None) -> bool:
        """Whether a snapshot upon this base would be true, whatever will have been written."""
        return mode is Mode.FULL or (
            base is not None and base.digest == self._tracking(mode).since != ""
        )

    def saved(self) -> dict[str, Any]:
        """All of it in JSON's types."""
        return {
            "seed": self.seed,
            "pages": pages_saved(self.pages),
            "generation": self.generation,
            "tracking": [
                {"dirty": sorted(tracking.dirty), "since": tracking.since}
                for tracking in (self.since_snapshot, self.since_restore)
            ],
        }

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any]) -> Memory:
        """The memory that `saved` gave."""
        memory = cls(seed=saved["seed"])
        memory.pages = pages_from(saved["pages"])
        memory.generation = saved["generation"]
        memory.since_snapshot, memory.since_restore = (
            Tracking(set(tracking["dirty"]), tracking["since"]) for tracking in saved["tracking"]
        )
        return memory

    def _load(self, image: Image) -> None:
        """Both dirty sets count from the image now."""
        self.pages = dict(image.pages)
        self.since_snapshot = Tracking(since=image.digest)
        self.since_restore = Tracking(since=image.digest)

    def _tracking(self, mode: Mode) -> Tracking:
        return self.since_snapshot if mode is Mode.SOFT_DIRTY else self.since_restore


def digest_of(pages: Mapping[int, int]) -> str:
    """Equal contents have equal digests, in whatever order they were written."""
    return hashlib.blake2b(repr(sorted(pages.items())).encode(), digest_size=8).hexdigest()


def pages_saved(pages: Mapping[int, int]) -> dict[str, int]:
    """Pages in JSON's types."""
    return {str(page): value for page, value in sorted(pages.items())}


def pages_from(saved: Mapping[str, int]) -> dict[int, int]:
    """The pages that `pages_saved` gave."""
    return {int(page): value for page, value in saved.items()}
