"""Structured logs: one JSON object per line on one stream, whoever wrote it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from typing import TextIO, cast

import structlog
from structlog.typing import Processor

LEVELS = ("debug", "info", "warning", "error")


def configure(level: str, stream: TextIO) -> None:
    """Send structlog's and the standard library's logs to `stream`, from `level` upwards.

    The renderer escapes all that is not printable ASCII, so no text of a user can end a line or
    begin another. Libraries (asyncio, grpc) speak through the same door, from WARNING upwards.
    """
    if level not in LEVELS:
        raise ValueError(f"log level {level!r} is not one of {', '.join(LEVELS)}")
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared = _stamps()
    stream = cast("TextIO", _Unfailing(stream))
    structlog.configure(
        processors=[*shared, *_rendering()],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering()],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.WARNING), force=True)


class _Unfailing:
    """Leaves out what its stream cannot take: a log on a full disk must not stop what is logged."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write it, or not."""
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        """Let go what waits, if that can be."""
        with contextlib.suppress(OSError):
            self._stream.flush()


def _stamps() -> Sequence[Processor]:
    return (
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    )


def _rendering() -> Sequence[Processor]:
    return (
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(ensure_ascii=True),
    )
