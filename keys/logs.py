"""What a daemon writes to standard error: one JSON object a line, of names, codes and counts, in UTC.

Never content, subjects, keys or tokens.
"""

from __future__ import annotations

import logging
import sys

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
    return log
