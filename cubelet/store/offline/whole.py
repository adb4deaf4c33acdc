"""Files that are there whole and on the disk, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cubelet.store import files


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """An empty file beside, readable by its owner only, that is moved to `path` at the end.

    Where the block fails nothing is left; where the process dies, a file that ends in `.part`, and
    the next one to come here removes that. Raises OSError.
    """
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    files.make_private(part)
    try:
        yield part
        files.sync(part)
        part.rename(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    files.sync(path.parent)
