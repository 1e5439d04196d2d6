"""Times as officers write and read them; inside, they are Unix seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from protocol.errors import UsageError
from protocol.limits import DAY_SECONDS

_DAYS: Final = re.compile(r"([0-9]{1,5})d")
_LAST: Final = 253_402_300_799


def show_time(at: int) -> str:
    """RFC 3339 in UTC, as `2026-11-22T09:30:00Z`; the bare number past the year 9999."""
    if at > _LAST:
        return f"{at} seconds, past the year 9999"
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def read_time(written: str, now: int) -> int:
    """What a date (`2028-11-22`, its first second), an RFC 3339 time, or days from `now` (`365d`) mean.

    Raises `UsageError` for anything else, a time without zone included.
    """
    days = _DAYS.fullmatch(written)
    if days:
        return now + int(days[1]) * DAY_SECONDS
    try:
        at = datetime.fromisoformat(f"{written}T00:00:00Z" if len(written) == len("2028-11-22") else written)
    except ValueError:
        raise UsageError(f"{written!r} is no time: write 2028-11-22, 2028-11-22T09:30:00Z or 365d") from None
    if at.tzinfo is None or at.timestamp() < 0:
        raise UsageError(f"{written!r} needs a zone, as in 2028-11-22T09:30:00Z, and lies after 1970")
    if at.timestamp() > _LAST:
        raise UsageError(f"{written!r} lies past the year 9999 in UTC")
    return int(at.timestamp())
