"""Why a shim cannot run as it was set up."""

from __future__ import annotations


class SetupError(Exception):
    """Base of errors that end a shim's command with one line on stderr; the text is for people."""
