"""What can go wrong here, as the service and ``delete`` report it."""

from __future__ import annotations


class FreezeFailed(Exception):
    """The tree does not stand still, and was let go again; the text names a process or a cgroup."""


class BundleError(Exception):
    """The bundle or the request asks for what cannot be; the text says what and where."""


class LaunchFailed(Exception):
    """The first process could not be executed; the text says why."""


class CgroupBusy(Exception):
    """A cgroup of that name has processes already; the text names it."""


class StillAlive(OSError):
    """Processes that could not be killed; the text names them. What is recorded is kept."""
