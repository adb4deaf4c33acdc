"""cubelet.api.v1.Sandboxes: all groups of its RPCs as one service."""

from __future__ import annotations

from cubelet.rpc.native.insight import Insight
from cubelet.rpc.native.lifecycle import Lifecycle
from cubelet.rpc.native.snapshots import Snapshots


class Sandboxes(Lifecycle, Insight, Snapshots):
    """Check, ask the agent, translate what it says.

    Only Get and Explain take a prefix of an id. What changes a sandbox takes the whole id, else a
    delete that is sent twice could hit another sandbox whose id begins the same; so does Journal,
    which knows sandboxes that are gone.
    """
