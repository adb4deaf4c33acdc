"""The runtimes of one agent: those that are usable here, the default one first."""

from __future__ import annotations

from dataclasses import replace

import structlog

from cubelet.core.faults import Code, Reason, error
from cubelet.runtime.adapter import ShimRuntime
from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.kinds import KINDS
from cubelet.runtime.orphanage import Orphanage
from cubelet.runtime.probe import Availability, probe
from cubelet.runtime.snapshots import clear_attempts
from cubelet.runtime.templates import clear_unfinished

_log = structlog.get_logger("cubelet.runtimes")


def build_runtimes(config: RuntimeConfig) -> dict[str, ShimRuntime]:
    """What is usable, by name, the default first. Each is to be closed when the agent ends.

    Raises CubeletError where the default that is asked for is unknown or not usable here.
    """
    config = replace(config, state_dir=config.state_dir.resolve())
    clear_unfinished(config.templates_cache)
    clear_attempts(config.snapshots_dir)
    found = probe(config)
    for one in found:
        _log.info("runtime", name=one.name, usable=one.usable, why=one.why)
    usable = [one.name for one in found if one.usable]
    if config.default and config.default not in usable:
        raise error(Code.FAILED_PRECONDITION, Reason.UNKNOWN_RUNTIME, _why_not(config, found))
    names = sorted(usable, key=lambda name: name != config.default)
    orphanage = Orphanage(config, names)
    return {name: ShimRuntime(KINDS[name](config), config, orphanage) for name in names}


def _why_not(config: RuntimeConfig, found: list[Availability]) -> str:
    known = {one.name: one.why for one in found}
    why = known.get(config.default, f"there is no such runtime; there are {', '.join(known)}")
    return f"the default runtime {config.default!r} cannot be used: {why}"
