"""Named places at which a test build of the agent can be killed, delayed or failed.

Each stands at a boundary: before or after a write, before a call to the outside, after its return
and before that is told to anybody. A name is a literal, unique and dotted, room.thing.moment, so
that all of them can be read from the code. A shipped agent never arms them: nothing here, nor in
its entry points, looks at the environment.

A leaf: imports nothing of ours. engine, runtime, store, rpc and app may import it; the core has no
effects, and so no boundaries.
"""

from __future__ import annotations

from collections.abc import Callable

Handler = Callable[[str], None]

_handler: Handler | None = None


def reach(name: str) -> None:
    """Say that this point is reached; nothing happens unless a handler is armed.

    Called from the loop's thread and from those of the store and the runtime.
    """
    if _handler is not None:
        _handler(name)


def arm(handler: Handler | None) -> None:
    """Have each point call `handler` with its name; None disarms. For test builds alone.

    What the handler raises is raised at the point.
    """
    global _handler  # noqa: PLW0603 - one for the process, so that a point costs one comparison.
    _handler = handler
