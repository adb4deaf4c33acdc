"""Write a store of the format of the code that runs this, as SQL: `make TARGET.sql`.

Each released format has such a file here, made once by the last code that wrote it, and never
again: what a newer agent has to read is what that one wrote.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from cubelet.engine.ports import Change
from cubelet.store.sqlite import SqliteStore
from tests.contract.store import samples
from tests.contract.store.samples import change, entry, outcome, snapshot

#: Awkward enough, and without the NUL that SQL's text would end at.
_TEXT = "'; DROP TABLE sandboxes; --\n\x7fé😀\u2028\""


async def live(path: Path) -> None:
    """What a store may have seen: two records, one that is gone, answers, snapshots."""
    samples.AWKWARD = _TEXT
    samples.FAULT = replace(samples.FAULT, message=_TEXT)
    store = await SqliteStore.open(path, boot_id="a-boot", now_ns=1_760_000_000_000_000_000)
    await store.commit(replace(change("box"), outcomes=(outcome("key"),)))
    taken = (snapshot("base"), snapshot("snap"))
    await store.commit(replace(change("box", revision=2), snapshots=taken))
    await store.commit(change("other"))
    late = outcome("late", "gone", failed=True)
    last = entry("gone", revision=9)
    await store.commit(Change(id="gone", record=None, entries=(last,), outcomes=(late,)))
    await store.commit(change("box", revision=3))
    await store.close()


def main(target: Path) -> None:
    """Make such a store and write it down."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        asyncio.run(live(path))
        with closing(sqlite3.connect(path)) as conn:
            target.write_text("".join(f"{line}\n" for line in conn.iterdump()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
