"""Images of memories as files: each snapshot is a folder with one of them in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from shimclient.fake.memory import Image, pages_from, pages_saved
from shimclient.skeleton.statefile import replace_file

IMAGE_FILE: Final = "memory.json"
#: Ten times what an image of all pages takes.
_BYTES_MAX: Final = 1 << 17


class ImageUnreadable(Exception):
    """There is no image where one should be, or none that can be read; the text says which."""


def save_image(folder: Path, image: Image) -> None:
    """Put an image into a folder that is there; on the disk, whole, when this returns. OSError."""
    content = {
        "generation": image.generation,
        "base": image.base,
        "pages": pages_saved(image.pages),
    }
    replace_file(folder / IMAGE_FILE, json.dumps(content).encode(), sync=True)


def load_image(folder: Path) -> Image:
    """The image of a snapshot. Raises ImageUnreadable."""
    path = folder / IMAGE_FILE
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_BYTES_MAX))
        return Image(pages_from(content["pages"]), content["generation"], content["base"])
    except OSError as error:
        raise ImageUnreadable(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ImageUnreadable(f"{path} is no image of a memory: {error}") from error
