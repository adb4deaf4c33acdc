"""A store as agents leave it: what an engine wrote while sandboxes lived, paused and went."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cubelet.core.model import Key
from cubelet.core.spec import HttpHook, Spec
from cubelet.engine.ports import Capabilities, Change
from cubelet.store.sqlite import SqliteStore
from tests.support.engine import ToyRuntime, Tube
from tests.support.virtual_time import in_virtual_time

#: Stands where a dump must not show it.
HIDDEN = "hidden-value"
_SPEC = Spec(
    runtime="toy",
    args=("count", "é\x1b😀"),
    env={"TOKEN": HIDDEN},
    prestop=(HttpHook(host="h", port=80, headers={"Authorization": HIDDEN}, timeout_s=1),),
)


@in_virtual_time
async def _lived() -> Sequence[Change]:
    tube = Tube(toy=ToyRuntime(capabilities=Capabilities(opaque_restore=True, snapshots=True)))
    engine = await tube.running("box", _SPEC)
    await engine.commit("box", snapshot_id="one", key=Key(value="snap", digest="d"))
    await engine.commit("box", snapshot_id="two")
    await engine.pause("box", key=Key(value="k", digest="d"))
    await engine.create(_SPEC, sandbox_id="gone", namespace="")
    await engine.delete("gone", key=Key(value="k", digest="d"))
    await engine.create(_SPEC, sandbox_id="other", namespace="")
    await engine.close()
    return tube.store.changes


#: Two sandboxes that are there, one that is gone, two snapshots of which one stands upon the other.
LIVED = _lived()


async def lived_store(path: Path, changes: Sequence[Change] = LIVED) -> None:
    """Write it all to a new store and close that."""
    store = await SqliteStore.open(path, boot_id="boot", now_ns=17)
    for change in changes:
        await store.commit(change)
    await store.close()
