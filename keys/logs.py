"""What a daemon writes to standard error: one JSON object a line, of names, codes and counts, in UTC.

Never content, subjects, keys or tokens.
"""

from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path

import structlog
from structlog.typing import FilteringBoundLogger


def configure(level: str) -> FilteringBoundLogger:
    """The log of this process, from `level` (debug, info, warning or error) on, each line written at once and whole."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    log: FilteringBoundLogger = structlog.get_logger()
    library = logging.getLogger("aiohttp")
    library.handlers, library.propagate = [_Library(log)], False
    return log


class _Library(logging.Handler):
    """One line for whatever the HTTP library reports, by the error's kind and place: its own words quote what was sent."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line."""
        kind, _error, trace = record.exc_info or (None, None, None)
        frames = traceback.extract_tb(trace)
        place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else record.module
        told = record.levelname.lower() if kind is None else kind.__name__
        self._log.warning("http_failed", kind=told, place=place)
